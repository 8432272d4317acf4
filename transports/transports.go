// Package transports is what all wires have in common: the one door that every
// message goes through ([Handler]), who holds which open connection ([Router]),
// who may come in ([Authenticator]), and the JSON of ThingsBoard's device API,
// which MQTT, HTTP and CoAP share.
//
// It knows no wire and no policy: a transport decodes and encodes, a chain
// decides. The transports lie below it, each alone.
package transports

import (
	"context"

	"github.com/windlass-ota/windlass/ota"
)

// Handler is the door. Handle returns when all that the message led to is
// stored, with what shall be said to the asker; only then may a transport
// acknowledge. An error is coded (see [ota.CodeOf]); each transport turns codes
// into its own answers in one table. Implementations are safe for concurrent
// use. Two messages of one device that are handed over one after the other are
// handled in that order.
type Handler interface {
	Handle(ctx context.Context, m ota.Message) ([]ota.Reply, error)
}

// HandlerFunc is a function that handles.
type HandlerFunc func(ctx context.Context, m ota.Message) ([]ota.Reply, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
	return f(ctx, m)
}

// Source is where messages come from: a wire or the clock.
type Source interface {
	// Serve blocks until ctx ends, then takes no new message, waits for those
	// it has handed over and returns nil. It is called once.
	Serve(ctx context.Context, h Handler) error
}

// From begins a message that device r said over a transport, from address.
func From(r ota.Ref, e ota.Event, transport, address string) ota.Message {
	return ota.Message{Event: e, Tenant: r.Tenant, Device: ota.DeviceID(r.ID), Transport: transport, Address: address}
}
