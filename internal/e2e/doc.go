// Package e2e is tests alone: whole runs of the windlass binary, seen from
// outside as an operator and a device see it.
//
// The binary is built once for each run of the tests, started as a process on
// free ports of 127.0.0.1, driven by its own verbs, by curl, the mosquitto
// clients and Python's paho (testdata/clients) and by fleets of package sim, and
// killed where a test says so. What is asserted is what people are promised:
// verbs, their JSON, exit codes, bytes, states and their history. Nothing in
// here calls into the server; only where a store must be recounted behind its
// back is it opened as a store.
//
// The sizes are those that are promised. With the race detector, which sees
// the tests and not the binary, or with WINDLASS_E2E=short, fleets and files
// are smaller; WINDLASS_E2E=full asks for the whole in any case, and
// WINDLASS_E2E=race builds the binary itself with the race detector (and may be
// joined to the others by a comma).
//
// What staged rollouts promise, over 20,000 devices, takes half an hour on two
// cores, and one test runs after the other:
//
//	WINDLASS_E2E=full go test ./internal/e2e -run TestCanary -timeout 1h -v
package e2e
