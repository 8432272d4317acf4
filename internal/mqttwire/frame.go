package mqttwire

import "slices"

// Type is the kind of a control packet (section 2.1.2).
type Type byte

// The kinds of control packets. AUTH exists since 5.0.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

var typeNames = [...]string{
	"reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
	"SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

func (t Type) String() string { return typeNames[t&15] }

// Version is the protocol level of a CONNECT. Zero means "not known yet" and
// is only good for [Split].
type Version byte

// The protocol levels in use.
const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

// MaxRemaining is the longest body that MQTT can express (section 1.5.5).
const MaxRemaining = 268_435_455

// Frame is one control packet whose body has not been looked at.
type Frame struct {
	Type  Type
	Flags byte   // low four bits of the first byte
	Body  []byte // borrowed
}

var (
	errPacketTooLarge = &Error{PacketTooLarge, "3.1.2.11.4", "packet over the limit"}
	errReservedType   = malformed("2.1.2", "reserved packet type 0")
	errVarint         = malformed("MQTT-1.5.5-1", "variable byte integer over four bytes or not in its shortest form")
	errFlags          = malformed("MQTT-2.1.3-1", "reserved flags are set")
)

// Split takes the first packet off b. size is what the whole packet takes, or
// at least what is known to be needed, 0 if even that cannot be told yet: while
// len(b) < size or size is 0, the frame is empty and more has to be read.
//
// limit bounds the body in bytes. A packet over it is refused as soon as its
// length is known, so a caller never has to hold more than it allows itself.
// Padded lengths are refused from 5.0 on only: 3.1.1 does not forbid them.
func Split(b []byte, v Version, limit int) (f Frame, size int, err error) {
	if len(b) == 0 {
		return Frame{}, 0, nil
	}
	if b[0]>>4 == 0 {
		return Frame{}, 0, errReservedType
	}
	n, used, err := varint(b[1:], v == V5)
	if err != nil {
		return Frame{}, 0, err
	}
	if used == 0 {
		return Frame{}, 0, nil
	}
	if n > limit {
		return Frame{}, 0, errPacketTooLarge
	}
	size = 1 + used + n
	if len(b) < size {
		return Frame{}, size, nil
	}
	return Frame{Type: Type(b[0] >> 4), Flags: b[0] & 15, Body: b[1+used : size : size]}, size, nil
}

// varint reads a variable byte integer (section 1.5.5). used is 0 while b ends
// before the integer does.
func varint(b []byte, shortest bool) (n, used int, err error) {
	for i := 0; i < 4; i++ {
		if i == len(b) {
			return 0, 0, nil
		}
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			if shortest && i > 0 && b[i] == 0 {
				return 0, 0, errVarint
			}
			return n, i + 1, nil
		}
	}
	return 0, 0, errVarint
}

func appendVarint(dst []byte, n int) []byte {
	for n > 0x7f {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// open begins a length-prefixed part of a packet: it leaves room for the
// longest length, which [shut] then closes up.
func open(dst []byte) (grown []byte, at int) {
	return append(dst, 0, 0, 0, 0), len(dst)
}

// shut writes the length of what follows the gap made by [open], plus extra
// bytes that the caller sends by other means, in front of it.
func shut(dst []byte, at, extra int) ([]byte, error) {
	n := len(dst) - at - 4
	if n+extra > MaxRemaining {
		return dst, errPacketTooLarge
	}
	var length [4]byte
	return slices.Replace(dst, at, at+4, appendVarint(length[:0], n+extra)...), nil
}

// checkFlags holds the fixed header's flags against the only value allowed.
// MQTT 3.1 lets a repeated packet of these kinds carry DUP (3.1, section 2.1).
func checkFlags(f Frame, v Version, want byte) error {
	got := f.Flags
	if v == V31 && want == 2 {
		got &^= 8
	}
	if got != want {
		return errFlags
	}
	return nil
}
