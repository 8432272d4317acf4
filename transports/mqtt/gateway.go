package mqtt

import (
	"context"
	"sync"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Fleet finds the device that a gateway names, or makes it; [ota.Wishes] does. A
// Conflict says that the gateway may not speak for that one.
type Fleet interface {
	Through(ctx context.Context, gateway ota.Ref, name, profile string) (ota.Ref, error)
}

// maxBrought bounds the devices of one gateway's connection.
const maxBrought = 4096

// gateway is what a connection has that speaks for other devices, too: those
// that it has brought, by name. Each has a session of its own, and with that
// updates of its own.
type gateway struct {
	mu      sync.Mutex
	brought map[string]*brought
}

// brought is a device's session over its gateway's connection.
type brought struct {
	c      *conn
	name   string
	ref    ota.Ref
	id     ota.SessionID
	chunks downloads
}

var _ transports.Session = (*brought)(nil)

// Device is whose session it is.
func (b *brought) Device() ota.Ref { return b.ref }

// ID names the session.
func (b *brought) ID() ota.SessionID { return b.id }

// Wants is what the gateway has subscribed to.
func (b *brought) Wants(w ota.Word) bool {
	f := gatewayFeed(w)
	if f == feedNone {
		return false
	}
	s := &b.c.say
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.subs.last(f)
	return ok
}

func gatewayFeed(w ota.Word) feed {
	switch {
	case transports.IsAttributes(w):
		return feedGatewayAttributes
	case w == ota.SayRPC:
		return feedGatewayRPC
	}
	return feedNone
}

// Say says words for the device to its gateway.
func (b *brought) Say(words []ota.Reply) (took bool) {
	return b.c.sayAll(words, func(w ota.Reply) (mqttwire.Publish, byte, bool) {
		sub, ok := b.c.say.subs.last(gatewayFeed(w.Word))
		if !ok {
			return mqttwire.Publish{}, 0, false
		}
		p, ok := b.pushed(w)
		if !ok {
			b.c.t.counts.dropped.Add(1)
		}
		return p, sub.qos, ok
	})
}

func (b *brought) pushed(w ota.Reply) (p mqttwire.Publish, ok bool) {
	if w.Word == ota.SayRPC {
		return mqttwire.Publish{Topic: []byte(gatewayRPC), Payload: gatewayCall(b.name, w)}, true
	}
	data, ok := transports.PushBody(w)
	return mqttwire.Publish{Topic: []byte(gatewayAttributes), Payload: gatewayData(b.name, data)}, ok
}

// message begins a message of the device's.
func (b *brought) message(e ota.Event) ota.Message {
	m := transports.From(b.ref, e, "mqtt", b.c.addr)
	m.Session = b.id
	return m
}

// bring returns the session of a device that the gateway names, and opens it
// where there is none yet: gateways of ThingsBoard may speak for a device before
// they have said that it is connected.
func (c *conn) bring(name, profile string) (*brought, error) {
	if c.gw == nil {
		c.gw = &gateway{brought: map[string]*brought{}}
	}
	c.gw.mu.Lock()
	b, n := c.gw.brought[name], len(c.gw.brought)
	c.gw.mu.Unlock()
	switch {
	case b != nil:
		return b, nil
	case n >= maxBrought:
		return nil, errTooManyBrought
	}
	ref, err := c.t.fleet.Through(c.turns, c.device, name, profile)
	if err != nil {
		return nil, err
	}
	b = &brought{c: c, name: name, ref: ref, id: c.t.router.NewID()}
	c.gw.mu.Lock()
	c.gw.brought[name] = b
	c.gw.mu.Unlock()
	c.t.router.Open(b)
	c.tellOf(b, ota.Connected)
	return b, nil
}

var errTooManyBrought = ota.Errorf(ota.Conflict, "mqtt: gateway", "it speaks for %d devices already", maxBrought)

// known returns the session of a device that the gateway has brought; nil where
// it has not.
func (c *conn) known(name string) *brought {
	if c.gw == nil {
		return nil
	}
	c.gw.mu.Lock()
	defer c.gw.mu.Unlock()
	return c.gw.brought[name]
}

// part ends the session of one device.
func (c *conn) part(b *brought) {
	c.gw.mu.Lock()
	delete(c.gw.brought, b.name)
	c.gw.mu.Unlock()
	c.t.router.Close(b)
	c.tellOf(b, ota.Disconnected)
}

// silence lets no more words in for the devices that a connection has brought.
func (c *conn) silence() {
	if c.gw == nil {
		return
	}
	c.gw.mu.Lock()
	defer c.gw.mu.Unlock()
	for _, b := range c.gw.brought {
		c.t.router.Close(b)
	}
}

// partAll ends the sessions of all devices, as their gateway is gone.
func (c *conn) partAll() {
	if c.gw == nil {
		return
	}
	for _, b := range c.gw.brought { // nobody else is left
		c.part(b)
	}
}

func (c *conn) tellOf(b *brought, e ota.Event) {
	if _, err := c.t.handler.Handle(c.turns, b.message(e)); err != nil {
		c.t.log.Debug("mqtt session event not handled", "event", e, "device", b.ref.ID, "error", err)
	}
}
