// Package mqtt is the endpoint that devices speak MQTT 3.1, 3.1.1 and 5.0 to,
// with the topics and payloads of ThingsBoard's device API.
//
// It is not a broker: what a device publishes goes to the [transports.Handler],
// what is published to a device is a reply or a word for it, and no device ever
// hears another. There are no retained messages, no wills and no sessions that
// outlive their connection; several connections of one device stand side by
// side.
//
// A publish with QoS 1 or 2 is acknowledged when Handle has returned, that is
// when its effect is stored, and acknowledgements leave in the order of the
// publishes. What a chain does with a message is not known here.
//
// # How a connection works
//
// Each connection has one goroutine with a small stack. It reads, cuts packets
// and writes; while it waits for its device it holds no buffer. Publishes are
// worked through by a borrowed worker (see workers), one connection's strictly
// one after the other, while the connection does not read: a slow store, or a
// device that does not take its answers, is felt at that device's socket alone.
package mqtt
