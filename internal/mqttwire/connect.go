package mqttwire

import (
	"bytes"
	"encoding/binary"
)

// Connect is CONNECT (section 3.1).
type Connect struct {
	Version    Version
	CleanStart bool   // "clean session" before 5.0
	KeepAlive  uint16 // seconds; 0: none
	ClientID   []byte // may be empty, in every version: see Decode
	Props      Properties

	HasWill bool
	Will    Will

	HasUserName bool
	UserName    []byte
	HasPassword bool
	Password    []byte
}

// Will is the message that a client leaves for its death (section 3.1.2.5).
type Will struct {
	Topic   []byte
	Payload []byte
	QoS     byte
	Retain  bool
	Props   Properties
}

// The connect flags (section 3.1.2.3).
const (
	flagClean    = 0x02
	flagWill     = 0x04
	flagRetain   = 0x20
	flagPassword = 0x40
	flagUserName = 0x80
)

var (
	errProtocolName    = &Error{UnsupportedProtocolVersion, "MQTT-3.1.2-1", "protocol name is not MQTT"}
	errProtocolVersion = &Error{UnsupportedProtocolVersion, "MQTT-3.1.2-2", "protocol version is not 3.1, 3.1.1 or 5.0"}
	errConnectReserved = malformed("MQTT-3.1.2-3", "reserved connect flag is set")
	errWillFlags       = malformed("MQTT-3.1.2-11", "will QoS or retain without a will")
	errWillQoS         = malformed("MQTT-3.1.2-12", "will QoS 3")
	errWillTopic       = &Error{TopicNameInvalid, "MQTT-3.3.2-2", "will topic is empty or holds a wildcard"}
	errPasswordAlone   = malformed("3.1.1 MQTT-3.1.2-22", "password without a user name")
)

// Decode reads the body of a CONNECT. The version is the packet's own: the
// argument is ignored, and p.Version is right even when an error is returned,
// provided that the version could be read, so that a refusal can be worded.
//
// An empty client id is let through for all versions, also together with a kept
// session: devices in the field send it, and a server that keeps no sessions
// loses nothing by it.
func (p *Connect) Decode(f Frame, _ Version) error {
	p.reset()
	c := cursor{b: f.Body}
	name := c.binary()
	level := Version(c.byte())
	if c.err != nil {
		return c.err
	}
	switch {
	case bytes.Equal(name, []byte("MQTT")) && (level == V311 || level == V5):
	case bytes.Equal(name, []byte("MQIsdp")) && level == V31:
	case bytes.Equal(name, []byte("MQTT")) || bytes.Equal(name, []byte("MQIsdp")):
		return errProtocolVersion
	default:
		return errProtocolName
	}
	p.Version = level
	if f.Flags != 0 {
		return errFlags
	}
	flags := c.byte()
	if c.err != nil {
		return c.err
	}
	if err := checkConnectFlags(flags, level); err != nil {
		return err
	}
	return p.decodeFields(&c, flags)
}

func (p *Connect) reset() {
	props, will := p.Props, p.Will.Props
	props.Reset()
	will.Reset()
	*p = Connect{Props: props, Will: Will{Props: will}}
}

func checkConnectFlags(flags byte, v Version) error {
	switch qos := flags >> 3 & 3; {
	case flags&1 != 0:
		return errConnectReserved
	case flags&flagWill == 0 && (qos != 0 || flags&flagRetain != 0):
		return errWillFlags
	case qos == 3:
		return errWillQoS
	case v != V5 && flags&flagPassword != 0 && flags&flagUserName == 0:
		return errPasswordAlone
	}
	return nil
}

func (p *Connect) decodeFields(c *cursor, flags byte) error {
	p.CleanStart = flags&flagClean != 0
	p.KeepAlive = c.uint16()
	if p.Version == V5 {
		p.Props.decode(c, 1<<CONNECT)
	}
	p.ClientID = c.text()
	if p.HasWill = flags&flagWill != 0; p.HasWill {
		p.Will.decode(c, flags, p.Version)
	}
	if p.HasUserName = flags&flagUserName != 0; p.HasUserName {
		p.UserName = c.text()
	}
	if p.HasPassword = flags&flagPassword != 0; p.HasPassword {
		p.Password = c.binary()
	}
	return c.end()
}

func (w *Will) decode(c *cursor, flags byte, v Version) {
	w.QoS = flags >> 3 & 3
	w.Retain = flags&flagRetain != 0
	if v == V5 {
		w.Props.decode(c, inWill)
	}
	w.Topic = c.text()
	if c.err == nil && (len(w.Topic) == 0 || HasWildcard(w.Topic)) {
		c.fail(errWillTopic)
	}
	w.Payload = c.binary()
}

// Append writes the packet; the version is the packet's own.
func (p *Connect) Append(dst []byte, _ Version) ([]byte, error) {
	name, flags := "MQTT", p.flags()
	switch p.Version {
	case V311, V5:
	case V31:
		name = "MQIsdp"
	default:
		return dst, errProtocolVersion
	}
	if err := checkConnectFlags(flags, p.Version); err != nil {
		return dst, err
	}
	dst, at := open(append(dst, byte(CONNECT)<<4))
	w := writer{b: dst}
	w.binary([]byte(name))
	w.b = append(w.b, byte(p.Version), flags)
	w.b = binary.BigEndian.AppendUint16(w.b, p.KeepAlive)
	w.props(&p.Props, p.Version)
	w.binary(p.ClientID)
	if p.HasWill {
		w.props(&p.Will.Props, p.Version)
		w.binary(p.Will.Topic)
		w.binary(p.Will.Payload)
	}
	if p.HasUserName {
		w.binary(p.UserName)
	}
	if p.HasPassword {
		w.binary(p.Password)
	}
	return w.shut(at, 0)
}

func (p *Connect) flags() byte {
	var flags byte
	set := func(on bool, bit byte) {
		if on {
			flags |= bit
		}
	}
	set(p.CleanStart, flagClean)
	set(p.HasWill, flagWill)
	set(p.HasUserName, flagUserName)
	set(p.HasPassword, flagPassword)
	if p.HasWill {
		set(p.Will.Retain, flagRetain)
		flags |= p.Will.QoS & 3 << 3
	}
	return flags
}

// Connack is CONNACK (section 3.2).
type Connack struct {
	SessionPresent bool
	Code           byte // a [Reason] in 5.0, a return code before
	Props          Properties
}

var errConnackFlags = malformed("3.2.2.1", "reserved acknowledge flags are set")

// Decode reads the body of a CONNACK.
func (p *Connack) Decode(f Frame, v Version) error {
	p.Props.Reset()
	if f.Flags != 0 {
		return errFlags
	}
	c := cursor{b: f.Body}
	flags := c.byte()
	if flags > 1 {
		return errConnackFlags
	}
	p.SessionPresent = flags == 1
	p.Code = c.byte()
	if v == V5 {
		p.Props.decode(&c, 1<<CONNACK)
	}
	return c.end()
}

// Append writes the packet.
func (p *Connack) Append(dst []byte, v Version) ([]byte, error) {
	dst, at := open(append(dst, byte(CONNACK)<<4))
	var flags byte
	if p.SessionPresent {
		flags = 1
	}
	w := writer{b: append(dst, flags, p.Code)}
	w.props(&p.Props, v)
	return w.shut(at, 0)
}
