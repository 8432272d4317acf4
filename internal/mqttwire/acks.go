package mqttwire

import "encoding/binary"

// Ack is PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7).
type Ack struct {
	Type     Type
	PacketID uint16
	Reason   Reason // Success before 5.0
	Props    Properties
}

// Decode reads the body of any of the four.
func (p *Ack) Decode(f Frame, v Version) error {
	p.Props.Reset()
	p.Type, p.Reason = f.Type, Success
	var flags byte
	if f.Type == PUBREL {
		flags = 2 // MQTT-3.6.1-1
	}
	if err := checkFlags(f, v, flags); err != nil {
		return err
	}
	c := cursor{b: f.Body}
	if p.PacketID = c.uint16(); c.err == nil && p.PacketID == 0 {
		return errPacketID
	}
	if v == V5 && len(c.b) > 0 {
		decodeReason(&c, &p.Reason, &p.Props, f.Type)
	}
	return c.end()
}

// decodeReason reads a reason code and properties, of which the properties or
// both may be left out (sections 3.4.2.1, 3.14.2.1, 3.15.2.1).
func decodeReason(c *cursor, r *Reason, p *Properties, t Type) {
	*r = Reason(c.byte())
	if c.err == nil && !reasonFits(t, *r) {
		c.fail(errReason)
		return
	}
	if len(c.b) > 0 {
		p.decode(c, 1<<t)
	}
}

// Append writes the packet, in its shortest form.
func (p *Ack) Append(dst []byte, v Version) ([]byte, error) {
	if p.PacketID == 0 {
		return dst, errPacketID
	}
	first := byte(p.Type) << 4
	if p.Type == PUBREL {
		first |= 2
	}
	if v != V5 || p.Reason == Success && p.Props.empty() {
		return append(dst, first, 2, byte(p.PacketID>>8), byte(p.PacketID)), nil
	}
	dst, at := open(append(dst, first))
	dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	return appendReason(dst, at, p.Reason, &p.Props)
}

func appendReason(dst []byte, at int, r Reason, p *Properties) ([]byte, error) {
	w := writer{b: append(dst, byte(r))}
	if !p.empty() {
		w.props(p, V5)
	}
	return w.shut(at, 0)
}

// Ping is PINGREQ or PINGRESP (sections 3.12 and 3.13).
type Ping struct{ Type Type }

// Decode accepts an empty body only.
func (p *Ping) Decode(f Frame, v Version) error {
	p.Type = f.Type
	if len(f.Body) > 0 {
		return errTrailing
	}
	return checkFlags(f, v, 0)
}

// Append writes the packet.
func (p *Ping) Append(dst []byte, _ Version) ([]byte, error) {
	return append(dst, byte(p.Type)<<4, 0), nil
}

// Close is DISCONNECT or AUTH (sections 3.14 and 3.15): a reason and properties.
// Before 5.0 there is only an empty DISCONNECT, and it comes from clients.
type Close struct {
	Type   Type
	Reason Reason
	Props  Properties
}

var errAuthVersion = malformed("3.1.1 2.2.1", "reserved packet type 15")

// Decode reads the body of either.
func (p *Close) Decode(f Frame, v Version) error {
	p.Props.Reset()
	p.Type, p.Reason = f.Type, Success
	if v != V5 && f.Type == AUTH {
		return errAuthVersion
	}
	if err := checkFlags(f, v, 0); err != nil {
		return err
	}
	c := cursor{b: f.Body}
	if v == V5 && len(c.b) > 0 {
		decodeReason(&c, &p.Reason, &p.Props, f.Type)
	}
	return c.end()
}

// Append writes the packet, in its shortest form.
func (p *Close) Append(dst []byte, v Version) ([]byte, error) {
	first := byte(p.Type) << 4
	if v != V5 && p.Type == AUTH {
		return dst, errAuthVersion
	}
	if v != V5 || p.Reason == Success && p.Props.empty() {
		return append(dst, first, 0), nil
	}
	dst, at := open(append(dst, first))
	return appendReason(dst, at, p.Reason, &p.Props)
}

var errReason = protocol("2.4", "reason code does not belong into this packet")

// reasonFits says whether a packet of 5.0 may carry a reason (section 2.4).
func reasonFits(t Type, r Reason) bool {
	switch t {
	case PUBACK, PUBREC:
		switch r {
		case Success, NoMatchingSubscribers, UnspecifiedError, ImplementationSpecific, NotAuthorized,
			TopicNameInvalid, PacketIDInUse, QuotaExceeded, PayloadFormatInvalid:
			return true
		}
		return false
	case PUBREL, PUBCOMP:
		return r == Success || r == PacketIDNotFound
	case AUTH:
		return r == Success || r == ContinueAuthentication || r == ReAuthenticate
	}
	return disconnectFits(r)
}

// disconnectFits holds a reason against the table of section 3.14.2.1.
func disconnectFits(r Reason) bool {
	switch r {
	case Success, DisconnectWithWill:
		return true
	case UnsupportedProtocolVersion, ClientIDNotValid, BadUserNameOrPassword, ServerUnavailable,
		Banned, PacketIDInUse, PacketIDNotFound:
		return false
	}
	return r >= UnspecifiedError && r <= WildcardsUnsupported
}
