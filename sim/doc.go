// Package sim is simulated devices: they speak to a server over a real wire the
// way ThingsBoard's own clients do, download, verify, install and report, and
// where they are told to they fail, lie, lose, reboot or fall silent.
//
// It drives `windlass simulate` and the demo fleet of `windlass dev`, and tests
// that need a device. It knows the device API alone: no store, no chain, nothing
// of the server's inside.
package sim
