// Package lwm2m is the LwM2M server: clients register with it, and it reads,
// writes, executes and observes their resources (OMA LwM2M TS 1.0 and 1.1, over
// UDP and DTLS). Firmware and software come to them by objects 5 and 9.
//
// The words of the house are said its way. An offer is a write of the package,
// in blocks, or of a URI that the client fetches; apply is an Execute; what is
// observed comes back as telemetry with fw_state and sw_state, as ThingsBoard
// has it. How often an update is tried, and how long it may take in all, is for
// chains. The payloads are internal/lwm2mwire's, the exchanges internal/coapx's.
package lwm2m
