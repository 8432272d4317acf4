package mqtt

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// will is what a client leaves to be said for it when its connection breaks. It
// is said as if the device had published it: as telemetry, as attributes, or by
// a door of a chain. No other device hears it, and what means nothing, such as
// another device's topic, is dropped.
type will struct {
	topic, payload []byte
	delay          time.Duration
	by             ota.Ref
	session        ota.SessionID
	address        string
}

// bequeath notes the will of a CONNECT.
func (c *conn) bequeath(p *mqttwire.Connect) {
	if !p.HasWill {
		return
	}
	c.will = &will{topic: bytes.Clone(p.Will.Topic), payload: bytes.Clone(p.Will.Payload), by: c.device, session: c.id, address: c.addr}
	if p.Will.Props.Has(mqttwire.WillDelay) {
		c.will.delay = time.Duration(p.Will.Props.Uint(mqttwire.WillDelay)) * time.Second
	}
}

// errWilled is a client that left and wants its will said (section 3.14.2.1).
var errWilled = errors.New("mqtt: client left, with its will")

// leave is a DISCONNECT of the client's. It may change for how long the session
// is kept, but not whether (MQTT-3.1.2-23, section 3.14.2.2.2).
func (c *conn) leave(p *mqttwire.Close) error {
	if p.Props.Has(mqttwire.SessionExpiry) {
		agreed := c.keepFor(p.Props.Uint(mqttwire.SessionExpiry))
		if c.expiry == 0 && p.Props.Uint(mqttwire.SessionExpiry) > 0 {
			return errExpiry
		}
		c.t.mu.Lock() // whoever takes over the session asks for it
		c.expiry = agreed
		c.t.mu.Unlock()
	}
	if p.Reason == mqttwire.DisconnectWithWill {
		return errWilled
	}
	return errGone
}

// bury has the will said where the connection ended in a way that calls for it:
// in any but the client's own DISCONNECT, and our stopping.
func (c *conn) bury(err error, later bool) {
	if c.will == nil || later || errors.Is(err, errGone) || errors.Is(err, errStopping) || len(c.will.payload) > c.t.cfg.MaxPayload {
		return
	}
	c.delegate(jobWill)
}

// willDue says the will of a session whose client has stayed away for too long.
func (t *Transport) willDue(s *kept, w *will) {
	t.mu.Lock()
	if s.back || t.stopping.Load() {
		t.mu.Unlock()
		return
	}
	t.running.Add(1)
	t.mu.Unlock()
	defer t.running.Done()
	c := &conn{t: t, device: w.by, id: w.session, addr: w.address, version: mqttwire.V311, turns: context.Background(), will: w}
	c.s = t.memory.scratch(c)
	c.bury(nil, false)
	t.memory.giveBack(c.s)
}

// sayWill is what the worker does.
func (c *conn) sayWill(s *scratch) {
	s.publish = mqttwire.Publish{Topic: c.will.topic, Payload: c.will.payload}
	switch t := c.target(c.will.topic); {
	case t.bad:
	case t.verb == verbTelemetry, t.verb == verbAttributes, t.verb == verbUnknown:
		if err := c.dispatch(s, &s.publish); err != nil {
			c.t.log.Debug("mqtt will not said", "device", c.device.ID, "error", err)
		}
	}
	s.out = s.out[:0]
}
