// Package mqtt is the endpoint that devices speak MQTT 3.1, 3.1.1 and 5.0 to,
// with the topics and payloads of ThingsBoard's device API.
//
// It is not a broker: what a device publishes goes to the [transports.Handler],
// what is published to a device is a reply or a word for it, and no device ever
// hears another. There are no retained messages; a will is said as if its device
// had published it. Several connections of one device stand side by side.
//
// # Sessions
//
// A session outlives its connection where the client asks for that, by clean
// session 0 before 5.0 and by an expiry since, for an hour at most and in this
// process alone. What survives is what it has subscribed to and what it has not
// settled: pushes with QoS 1 and 2, which are said again when it is back, and
// messages of QoS 2 that it has not released. Answers are not said again: whoever
// has lost one asks again. Nothing is queued for a device that is away, as what
// must reach it follows from state when it is back.
//
// Answers that find no room among what the client takes at once go with QoS 0,
// pushes wait for room. ThingsBoard's own topics are granted with QoS 1 at most,
// as there; those that chains speak on with what the client asks for.
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
