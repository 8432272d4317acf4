package mqtt

import (
	"github.com/windlass-ota/windlass/internal/mqttwire"
)

var (
	errUnexpected = &ending{mqttwire.ProtocolError, "packet that a client may not send"}
	errAlias      = &ending{mqttwire.TopicAliasInvalid, "topic alias that is unknown, or over the limit"}
	errExpiry     = &ending{mqttwire.ProtocolError, "a session that ends with its connection cannot be kept when it does"}
	errUnreleased = &ending{mqttwire.ReceiveMaximumExceeded, "too many QoS 2 messages without PUBREL"}
)

// control does what any packet but PUBLISH asks for.
func (c *conn) control(f mqttwire.Frame) error {
	switch f.Type {
	case mqttwire.PINGREQ:
		ping := mqttwire.Ping{}
		if err := ping.Decode(f, c.version); err != nil {
			return err
		}
		c.s.out = append(c.s.out, byte(mqttwire.PINGRESP)<<4, 0)
		return nil
	case mqttwire.SUBSCRIBE:
		return c.subscribe(f)
	case mqttwire.UNSUBSCRIBE:
		return c.unsubscribe(f)
	case mqttwire.PUBACK, mqttwire.PUBREC, mqttwire.PUBREL, mqttwire.PUBCOMP:
		return c.acknowledged(f)
	case mqttwire.DISCONNECT:
		if err := c.s.close.Decode(f, c.version); err != nil {
			return err
		}
		if err := c.flush(); err != nil { // it may still read
			return err
		}
		return c.leave(&c.s.close)
	case mqttwire.AUTH: // no exchange was begun by CONNECT
		if err := c.s.close.Decode(f, c.version); err != nil {
			return err
		}
	}
	return errUnexpected // CONNECT again (MQTT-3.1.0-2), or what only servers send
}

// subscribe grants what is a device's own and refuses the rest, filter by
// filter; the connection stays either way.
func (c *conn) subscribe(f mqttwire.Frame) error {
	p := &c.s.sub
	if err := p.Decode(f, c.version); err != nil {
		return err
	}
	ack := mqttwire.SubAck{Type: mqttwire.SUBACK, PacketID: p.PacketID, Codes: c.s.topic[:0]}
	attributes := false
	for _, want := range p.Filters {
		g := c.grant(want.Topic)
		if g == nil {
			ack.Codes = append(ack.Codes, c.refusedFilter(want.Topic))
			continue
		}
		c.say.subscribe(g, want.QoS)
		ack.Codes = append(ack.Codes, g.grants(want.QoS))
		attributes = attributes || g.feed == feedAttributes
	}
	c.s.topic = ack.Codes[:0]
	c.s.out = c.append(c.s.out, &ack)
	if attributes {
		return c.greet() // which writes the SUBACK first
	}
	return nil
}

func (c *conn) refusedFilter(filter []byte) byte {
	switch {
	case c.version != mqttwire.V5:
		return mqttwire.SubscriptionRefused
	case mqttwire.IsShared(filter) && mqttwire.ValidFilter(filter):
		return byte(mqttwire.SharedNotSupported)
	}
	return byte(mqttwire.TopicFilterInvalid)
}

func (c *conn) unsubscribe(f mqttwire.Frame) error {
	p := &c.s.unsub
	if err := p.Decode(f, c.version); err != nil {
		return err
	}
	ack := mqttwire.SubAck{Type: mqttwire.UNSUBACK, PacketID: p.PacketID, Codes: c.s.topic[:0]}
	for _, filter := range p.Filters {
		code := mqttwire.NoSubscriptionExisted
		if g := c.grant(filter); g != nil && c.say.unsubscribe(g) {
			code = mqttwire.Success
		}
		ack.Codes = append(ack.Codes, byte(code))
	}
	c.s.topic = ack.Codes[:0]
	c.s.out = c.append(c.s.out, &ack)
	return nil
}

// acknowledged takes the client's part of the exchanges of QoS 1 and 2.
func (c *conn) acknowledged(f mqttwire.Frame) error {
	p := &c.s.ack
	if err := p.Decode(f, c.version); err != nil {
		return err
	}
	answer := mqttwire.Ack{PacketID: p.PacketID}
	switch p.Type {
	case mqttwire.PUBACK, mqttwire.PUBCOMP:
		c.settled(p)
		return nil
	case mqttwire.PUBREL:
		answer.Type = mqttwire.PUBCOMP
		if !c.say.release(p.PacketID) {
			answer.Reason = mqttwire.PacketIDNotFound
		}
	case mqttwire.PUBREC:
		known := c.settled(p)
		if p.Reason >= mqttwire.UnspecifiedError { // the exchange ends with it (MQTT-4.3.3-4)
			return nil
		}
		if answer.Type = mqttwire.PUBREL; !known {
			answer.Reason = mqttwire.PacketIDNotFound
		}
	}
	c.s.out = c.append(c.s.out, &answer)
	return nil
}
