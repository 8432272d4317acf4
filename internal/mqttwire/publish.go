package mqttwire

import "encoding/binary"

// Publish is PUBLISH (section 3.3).
type Publish struct {
	Dup      bool
	QoS      byte
	Retain   bool
	Topic    []byte // empty only in 5.0, together with a topic alias
	PacketID uint16 // 0 with QoS 0
	Props    Properties
	Payload  []byte
}

var (
	errQoS3       = malformed("MQTT-3.3.1-4", "QoS 3")
	errDupQoS0    = malformed("MQTT-3.3.1-2", "DUP with QoS 0")
	errPacketID   = protocol("MQTT-2.2.1-3", "packet identifier 0")
	errTopicEmpty = malformed("MQTT-4.7.3-1", "topic is empty")
	errTopicAlone = protocol("3.3.2.1", "neither a topic nor a topic alias")
	errTopicWild  = &Error{TopicNameInvalid, "MQTT-3.3.2-2", "topic holds a wildcard"}
)

// Decode reads the flags and the body of a PUBLISH. Property blocks are parsed
// only where there are any, so the common packet costs a topic and two slices.
func (p *Publish) Decode(f Frame, v Version) error {
	p.Props.Reset()
	p.Dup, p.QoS, p.Retain, p.PacketID = f.Flags&8 != 0, f.Flags>>1&3, f.Flags&1 != 0, 0
	if p.QoS == 3 {
		return errQoS3
	}
	if p.Dup && p.QoS == 0 {
		return errDupQoS0
	}
	c := cursor{b: f.Body}
	p.Topic = c.text()
	if p.QoS > 0 {
		if p.PacketID = c.uint16(); c.err == nil && p.PacketID == 0 {
			return errPacketID
		}
	}
	if v == V5 {
		p.Props.decode(&c, 1<<PUBLISH)
	}
	if c.err != nil {
		return c.err
	}
	p.Payload = c.b
	return p.checkTopic(v)
}

func (p *Publish) checkTopic(v Version) error {
	switch {
	case HasWildcard(p.Topic):
		return errTopicWild
	case len(p.Topic) > 0:
		return nil
	case v != V5:
		return errTopicEmpty
	case !p.Props.Has(TopicAlias):
		return errTopicAlone
	}
	return nil
}

// Append writes the packet.
func (p *Publish) Append(dst []byte, v Version) ([]byte, error) {
	dst, err := p.AppendHeader(dst, v, len(p.Payload))
	if err != nil {
		return dst, err
	}
	return append(dst, p.Payload...), nil
}

// AppendHeader writes all but the payload, whose size is given: a sender then
// puts out the payload from where it lies.
func (p *Publish) AppendHeader(dst []byte, v Version, size int) ([]byte, error) {
	first := byte(PUBLISH)<<4 | p.QoS<<1
	switch {
	case p.QoS > 2:
		return dst, errQoS3
	case p.QoS == 0 && p.Dup:
		return dst, errDupQoS0
	case p.QoS > 0 && p.PacketID == 0:
		return dst, errPacketID
	}
	if err := p.checkTopic(v); err != nil {
		return dst, err
	}
	if p.Dup {
		first |= 8
	}
	if p.Retain {
		first |= 1
	}
	dst, at := open(append(dst, first))
	w := writer{b: dst}
	w.binary(p.Topic)
	if p.QoS > 0 {
		w.b = binary.BigEndian.AppendUint16(w.b, p.PacketID)
	}
	w.props(&p.Props, v)
	return w.shut(at, size)
}
