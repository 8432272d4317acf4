// Package mqttwire turns MQTT control packets into bytes and back, for the
// versions 3.1, 3.1.1 and 5.0 and for both ends of the wire: a server reads
// CONNECT and writes CONNACK with it, a simulated device does the reverse.
//
// It knows the grammar of a packet and nothing else. Sessions, deadlines,
// sockets, topics with a meaning and acknowledgements that are due belong to
// its callers.
//
// A decoded packet borrows: its texts and payloads are slices of the buffer
// that it was read from and are valid as long as that buffer is left alone.
// Decoding into a packet that is used again allocates nothing, save for user
// properties and subscription identifiers. No input makes a decoder panic, read
// outside its frame or allocate more than the frame's own size allows.
//
// Rules are named as the standards number them: "MQTT-3.3.2-2" is a statement
// of MQTT 5.0 (OASIS, 2019), unless it is marked with 3.1.1 (OASIS, 2014).
package mqttwire
