package mqtt

import (
	"bytes"
	"slices"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

var (
	errPayload    = &ending{mqttwire.PayloadFormatInvalid, "payload cannot be read"}
	errTooLarge   = &ending{mqttwire.PacketTooLarge, "payload over the limit"}
	errBusy       = &ending{mqttwire.ServerBusy, "message cannot be stored now"}
	errBadNumber  = &ending{mqttwire.TopicNameInvalid, "number over 31 bits in the topic"}
	errChunkFails = &ending{mqttwire.ImplementationSpecific, "chunk request failed"}
)

// publish works one PUBLISH through: decode, handle, acknowledge, answer. It
// runs on a worker. An error ends the connection once s.out is written.
func (c *conn) publish(s *scratch, f mqttwire.Frame) error {
	p := &s.publish
	if err := p.Decode(f, c.version); err != nil {
		return err
	}
	if len(p.Payload) > c.t.cfg.MaxPayload {
		return errTooLarge
	}
	if err := c.alias(p); err != nil {
		return err
	}
	again, err := c.hold(p)
	if err != nil {
		return err
	}
	if again {
		c.acknowledge(s, p, mqttwire.Success)
		return nil
	}
	return c.dispatch(s, p)
}

// dispatch does what the topic asks for.
func (c *conn) dispatch(s *scratch, p *mqttwire.Publish) error {
	if c.guest {
		return c.provision(s, p)
	}
	if bytes.HasPrefix(p.Topic, []byte("v1/gateway/")) {
		return c.gatewayPublish(s, p)
	}
	t := c.target(p.Topic)
	if t.bad {
		return errBadNumber
	}
	switch t.verb {
	case verbTelemetry:
		return c.telemetry(s, p, t)
	case verbChunk:
		return c.chunk(s, p, t, nil)
	case verbClaim:
		return c.mayBeClaimed(s, p)
	case verbAttributes, verbAttributesRequest, verbRPCRequest, verbRPCResponse:
		return c.one(s, p, t)
	}
	return c.arrived(s, p)
}

const (
	maxAliases = 16  // topics that a client may number
	maxAliased = 256 // bytes of such a topic
)

// alias notes the number that a publish gives its topic, or puts the topic in
// the place of its number (section 3.3.2.3.4).
func (c *conn) alias(p *mqttwire.Publish) error {
	if c.version != mqttwire.V5 || !p.Props.Has(mqttwire.TopicAlias) {
		return nil
	}
	n := uint16(p.Props.Uint(mqttwire.TopicAlias))
	switch {
	case n == 0 || n > maxAliases || len(p.Topic) > maxAliased:
		return errAlias
	case len(p.Topic) > 0:
		if c.aliases == nil {
			c.aliases = map[uint16][]byte{}
		}
		c.aliases[n] = append(c.aliases[n][:0], p.Topic...)
		return nil
	}
	topic, known := c.aliases[n]
	if !known {
		return errAlias
	}
	p.Topic = topic
	return nil
}

// arrived hands over a publish on a topic for which a chain has opened a door.
func (c *conn) arrived(s *scratch, p *mqttwire.Publish) error {
	var door *ota.Inlet
	var captured map[string]string
	topic := string(p.Topic)
	if c.t.doors != nil {
		door, captured = c.t.doors.Topic(ota.DevicesBroker, topic)
	}
	if door == nil {
		c.t.counts.unknown.Add(1)
		c.acknowledge(s, p, mqttwire.TopicNameInvalid)
		return nil
	}
	m := transports.Arrive(door, topic, captured, slices.Clone(p.Payload))
	m.Tenant, m.Device, m.Transport, m.Address, m.Session = c.device.Tenant, ota.DeviceID(c.device.ID), "mqtt", c.addr, c.id
	_, err := c.t.handler.Handle(c.turns, m)
	if ota.CodeOf(err) == ota.Busy {
		return c.busy(p)
	}
	c.acknowledge(s, p, reasonOf(ota.CodeOf(err)))
	return nil
}

// hold takes a message of QoS 2 into our care, for as long as its packet id is
// not released; again says that it was there already (MQTT-4.3.3-10).
func (c *conn) hold(p *mqttwire.Publish) (again bool, err error) {
	if p.QoS != 2 {
		return false, nil
	}
	return c.say.hold(p.PacketID, c.t.cfg.MaxInflight)
}

func (s *sayer) hold(id uint16, limit int) (again bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again = s.held[id]; again {
		return true, nil
	}
	if len(s.held) >= limit {
		return false, errUnreleased
	}
	if s.held == nil {
		s.held = map[uint16]struct{}{}
	}
	s.held[id] = struct{}{}
	return false, nil
}

// release ends our care of a message of QoS 2; it is false where we had none.
func (s *sayer) release(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, had := s.held[id]
	delete(s.held, id)
	return had
}

// acknowledge answers a publish in the way of its QoS. Before 5.0 there is no
// way to say that a message was not taken, so it is acknowledged all the same.
func (c *conn) acknowledge(s *scratch, p *mqttwire.Publish, r mqttwire.Reason) {
	if p.QoS == 0 {
		return
	}
	ack := mqttwire.Ack{Type: mqttwire.PUBACK, PacketID: p.PacketID, Reason: r}
	if p.QoS == 2 {
		ack.Type = mqttwire.PUBREC
		if r >= mqttwire.UnspecifiedError && c.version == mqttwire.V5 {
			c.say.release(p.PacketID) // the exchange ends here (MQTT-4.3.3-9)
		}
	}
	s.out = c.append(s.out, &ack)
}

// message begins a message of this session.
func (c *conn) message(e ota.Event) ota.Message {
	m := transports.From(c.device, e, "mqtt", c.addr)
	m.Session = c.id
	return m
}

// telemetry hands over one message for each moment, in order, and acknowledges
// after the last. One that a chain refuses does not keep the others out.
func (c *conn) telemetry(s *scratch, p *mqttwire.Publish, t target) error {
	body, err := c.asJSON(slices.Clone(p.Payload), t)
	if err != nil {
		return c.unreadable(s, p)
	}
	data, err := transports.ReadTelemetry(body, transports.Limits{})
	if err != nil {
		return c.unreadable(s, p)
	}
	var code ota.Code
	for _, d := range data {
		m := c.message(ota.Telemetry)
		m.TS, m.Values = d.TS, d.Values
		_, err := c.t.handler.Handle(c.turns, m)
		if ota.CodeOf(err) == ota.Busy {
			return c.busy(p)
		}
		if code == "" {
			code = ota.CodeOf(err)
		}
	}
	c.acknowledge(s, p, reasonOf(code))
	return nil
}

// one hands over a publish that is one message, and says what it leads to.
func (c *conn) one(s *scratch, p *mqttwire.Publish, t target) error {
	m, err := c.decode(slices.Clone(p.Payload), t)
	if err != nil {
		return c.unreadable(s, p)
	}
	replies, err := c.t.handler.Handle(c.turns, m)
	if ota.CodeOf(err) == ota.Busy {
		return c.busy(p)
	}
	c.acknowledge(s, p, reasonOf(ota.CodeOf(err)))
	for _, r := range replies {
		c.answer(s, r, t)
	}
	if err != nil && t.verb == verbRPCRequest && len(replies) == 0 {
		c.answer(s, ota.Refusal(ota.CodeOf(err), err.Error()), t)
	}
	return nil
}

func (c *conn) decode(body []byte, t target) (m ota.Message, err error) {
	switch t.verb {
	case verbAttributes:
		m = c.message(ota.AttributesReported)
		if body, err = c.asJSON(body, t); err == nil {
			m.Values, err = transports.ReadAttributes(body, transports.Limits{})
		}
	case verbAttributesRequest:
		m = c.message(ota.AttributesRequested)
		if c.hearsProto(t.form) {
			m.ClientKeys, m.SharedKeys, err = readProtoRequest(body)
		} else {
			m.ClientKeys, m.SharedKeys, err = transports.ReadAttributesRequest(body, transports.Limits{})
		}
	case verbRPCRequest:
		m = c.message(ota.RPCRequested)
		if m.Limits = c.t.limits; c.isGateway() {
			m.Limits = c.t.gatewayLimits
		}
		m.Method, m.Params, err = transports.ReadRPC(body, transports.Limits{})
	case verbRPCResponse:
		m = c.message(ota.RPCAnswered)
		m.Call = int64(t.id)
		m.Result, err = transports.ReadAny(body, transports.Limits{})
	}
	return m, err
}

// unreadable answers a payload that is not what its topic asks for. 5.0 has a
// word for it; before, ThingsBoard closes the connection.
func (c *conn) unreadable(s *scratch, p *mqttwire.Publish) error {
	if c.version != mqttwire.V5 && (c.dialect == nil || !c.dialect.of.AckInvalid) {
		return errPayload
	}
	c.acknowledge(s, p, mqttwire.PayloadFormatInvalid)
	return nil
}

// busy leaves a message unacknowledged. A client sends it again only after it
// has connected again, so with QoS 1 and 2 the connection ends; QoS 0 promises
// nothing.
func (c *conn) busy(p *mqttwire.Publish) error {
	if p.QoS == 0 {
		c.t.counts.dropped.Add(1)
		return nil
	}
	return errBusy
}

// reasonOf says a code in the words of an acknowledgement of 5.0.
func reasonOf(code ota.Code) mqttwire.Reason {
	switch code {
	case "":
		return mqttwire.Success
	case ota.Invalid:
		return mqttwire.PayloadFormatInvalid
	case ota.NotFound, ota.Conflict:
		return mqttwire.ImplementationSpecific
	}
	return mqttwire.UnspecifiedError
}
