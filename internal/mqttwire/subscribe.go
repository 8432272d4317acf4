package mqttwire

import "encoding/binary"

// Filter is one topic filter of a SUBSCRIBE with its options (section 3.8.3.1).
// Its form is not judged by the decoder, as a bad one is answered in the SUBACK:
// see [ValidFilter].
type Filter struct {
	Topic             []byte
	QoS               byte
	NoLocal           bool // 5.0
	RetainAsPublished bool // 5.0
	RetainHandling    byte // 5.0: 0, 1 or 2
}

// Subscribe is SUBSCRIBE (section 3.8).
type Subscribe struct {
	PacketID uint16
	Props    Properties
	Filters  []Filter
}

var (
	errNoFilters      = protocol("MQTT-3.8.3-2", "no topic filter")
	errFilterEmpty    = malformed("MQTT-4.7.3-1", "topic filter is empty")
	errSubscribeFlags = malformed("MQTT-3.8.3-5", "reserved subscription options or QoS 3")
	errRetainHandling = protocol("3.8.3.1", "retain handling 3")
	errSharedNoLocal  = protocol("MQTT-3.8.3-4", "no-local on a shared subscription")
)

// Decode reads the body of a SUBSCRIBE.
func (p *Subscribe) Decode(f Frame, v Version) error {
	p.Props.Reset()
	p.Filters = p.Filters[:0]
	if err := checkFlags(f, v, 2); err != nil { // MQTT-3.8.1-1
		return err
	}
	c := cursor{b: f.Body}
	if p.PacketID = c.uint16(); c.err == nil && p.PacketID == 0 {
		return errPacketID
	}
	if v == V5 {
		p.Props.decode(&c, 1<<SUBSCRIBE)
	}
	for len(c.b) > 0 {
		p.Filters = append(p.Filters, decodeFilter(&c, v))
	}
	if c.err == nil && len(p.Filters) == 0 {
		return errNoFilters
	}
	return c.err
}

func decodeFilter(c *cursor, v Version) Filter {
	topic, o := c.text(), c.byte()
	f := Filter{Topic: topic, QoS: o & 3}
	if c.err != nil {
		return f
	}
	if v == V5 {
		f.NoLocal, f.RetainAsPublished, f.RetainHandling = o&4 != 0, o&8 != 0, o>>4&3
		o &= 0xc3
	}
	if err := checkFilter(f, o); err != nil {
		c.fail(err)
	}
	return f
}

// checkFilter judges one filter and what is left of its options byte once the
// bits that the version knows are taken out.
func checkFilter(f Filter, o byte) error {
	switch {
	case len(f.Topic) == 0:
		return errFilterEmpty
	case o > 2:
		return errSubscribeFlags
	case f.RetainHandling == 3:
		return errRetainHandling
	case f.NoLocal && IsShared(f.Topic):
		return errSharedNoLocal
	}
	return nil
}

// Append writes the packet.
func (p *Subscribe) Append(dst []byte, v Version) ([]byte, error) {
	if p.PacketID == 0 {
		return dst, errPacketID
	}
	if len(p.Filters) == 0 {
		return dst, errNoFilters
	}
	dst, at := open(append(dst, byte(SUBSCRIBE)<<4|2))
	w := writer{b: binary.BigEndian.AppendUint16(dst, p.PacketID)}
	w.props(&p.Props, v)
	for _, f := range p.Filters {
		if err := checkFilter(f, f.QoS); err != nil {
			return w.b[:at-1], err
		}
		w.binary(f.Topic)
		w.b = append(w.b, f.options(v))
	}
	return w.shut(at, 0)
}

func (f Filter) options(v Version) byte {
	o := f.QoS
	if v != V5 {
		return o
	}
	if f.NoLocal {
		o |= 4
	}
	if f.RetainAsPublished {
		o |= 8
	}
	return o | f.RetainHandling<<4
}

// Unsubscribe is UNSUBSCRIBE (section 3.10).
type Unsubscribe struct {
	PacketID uint16
	Props    Properties
	Filters  [][]byte
}

// Decode reads the body of an UNSUBSCRIBE.
func (p *Unsubscribe) Decode(f Frame, v Version) error {
	p.Props.Reset()
	p.Filters = p.Filters[:0]
	if err := checkFlags(f, v, 2); err != nil { // MQTT-3.10.1-1
		return err
	}
	c := cursor{b: f.Body}
	if p.PacketID = c.uint16(); c.err == nil && p.PacketID == 0 {
		return errPacketID
	}
	if v == V5 {
		p.Props.decode(&c, 1<<UNSUBSCRIBE)
	}
	for len(c.b) > 0 {
		topic := c.text()
		if c.err == nil && len(topic) == 0 {
			return errFilterEmpty
		}
		p.Filters = append(p.Filters, topic)
	}
	if c.err == nil && len(p.Filters) == 0 { // MQTT-3.10.3-2
		return errNoFilters
	}
	return c.err
}

// Append writes the packet.
func (p *Unsubscribe) Append(dst []byte, v Version) ([]byte, error) {
	if p.PacketID == 0 {
		return dst, errPacketID
	}
	if len(p.Filters) == 0 {
		return dst, errNoFilters
	}
	dst, at := open(append(dst, byte(UNSUBSCRIBE)<<4|2))
	w := writer{b: binary.BigEndian.AppendUint16(dst, p.PacketID)}
	w.props(&p.Props, v)
	for _, topic := range p.Filters {
		if len(topic) == 0 {
			return w.b[:at-1], errFilterEmpty
		}
		w.binary(topic)
	}
	return w.shut(at, 0)
}

// SubAck is SUBACK or UNSUBACK (sections 3.9 and 3.11). Codes are reasons, one
// for each filter and in its order; before 5.0 an UNSUBACK has none.
type SubAck struct {
	Type     Type
	PacketID uint16
	Props    Properties
	Codes    []byte
}

var errNoCodes = protocol("3.9.3", "no reason code")

// Decode reads the body of either.
func (p *SubAck) Decode(f Frame, v Version) error {
	p.Props.Reset()
	p.Type, p.Codes = f.Type, nil
	if err := checkFlags(f, v, 0); err != nil {
		return err
	}
	c := cursor{b: f.Body}
	if p.PacketID = c.uint16(); c.err == nil && p.PacketID == 0 {
		return errPacketID
	}
	if v == V5 {
		p.Props.decode(&c, 1<<f.Type)
	}
	if c.err != nil {
		return c.err
	}
	if v != V5 && f.Type == UNSUBACK {
		return c.end()
	}
	if len(c.b) == 0 {
		return errNoCodes
	}
	p.Codes = c.b
	return nil
}

// Append writes the packet.
func (p *SubAck) Append(dst []byte, v Version) ([]byte, error) {
	if p.PacketID == 0 {
		return dst, errPacketID
	}
	dst, at := open(append(dst, byte(p.Type)<<4))
	w := writer{b: binary.BigEndian.AppendUint16(dst, p.PacketID)}
	w.props(&p.Props, v)
	if v == V5 || p.Type == SUBACK {
		if len(p.Codes) == 0 {
			return w.b[:at-1], errNoCodes
		}
		w.b = append(w.b, p.Codes...)
	}
	return w.shut(at, 0)
}
