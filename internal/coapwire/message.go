// Package coapwire turns CoAP messages over datagrams into bytes and back (RFC
// 7252, section 3), with the options of block-wise transfers (RFC 7959) and of
// observing (RFC 7641). Our door reads with it what need not go through a whole
// exchange; simulated devices speak by it.
//
// It knows the form of a message and nothing else: exchanges, repeats and who
// waits for what belong to its callers.
//
// A decoded message borrows from the datagram and is valid as long as that is
// left alone. Decoding into a message that is used again allocates nothing. No
// input makes it panic or read outside the datagram.
package coapwire

import (
	"encoding/binary"
	"errors"
)

// Type says how a message is acknowledged.
type Type uint8

// The types of messages.
const (
	CON Type = iota // wants an acknowledgement
	NON             // wants none
	ACK
	RST
)

// Code is a method or what became of it: 0xcdd is c.dd, a class and a detail.
type Code uint8

// The codes that have a meaning here.
const (
	Empty  Code = 0
	GET    Code = 1
	POST   Code = 2
	PUT    Code = 3
	DELETE Code = 4

	Created      Code = 2<<5 | 1
	Valid        Code = 2<<5 | 3
	Changed      Code = 2<<5 | 4
	Content      Code = 2<<5 | 5
	Continue     Code = 2<<5 | 31
	BadRequest   Code = 4 << 5
	Unauthorized Code = 4<<5 | 1
	BadOption    Code = 4<<5 | 2
	Forbidden    Code = 4<<5 | 3
	NotFound     Code = 4<<5 | 4
	NotAllowed   Code = 4<<5 | 5
	Incomplete   Code = 4<<5 | 8
	Conflict     Code = 4<<5 | 9
	TooLarge     Code = 4<<5 | 13
	TooMany      Code = 4<<5 | 29
	Internal     Code = 5 << 5
	NotOffered   Code = 5<<5 | 1
	Unavailable  Code = 5<<5 | 3
)

// IsRequest says whether c is a method.
func (c Code) IsRequest() bool { return c > 0 && c < 1<<5 }

// String is c as people write it, such as 2.05.
func (c Code) String() string {
	return string([]byte{'0' + byte(c>>5), '.', '0' + byte(c&31)/10, '0' + byte(c&31)%10})
}

// The numbers of options that have a meaning here.
const (
	IfMatch       = 1
	URIHost       = 3
	ETag          = 4
	Observe       = 6
	URIPort       = 7
	URIPath       = 11
	ContentFormat = 12
	MaxAge        = 14
	URIQuery      = 15
	Accept        = 17
	Block2        = 23
	Block1        = 27
	Size2         = 28
	Size1         = 60
)

// JSON is the content format application/json.
const JSON = 50

// Option is one option of a message.
type Option struct {
	Num   uint16
	Value []byte
}

// Critical says whether a receiver that does not know the option must refuse
// the message.
func (o Option) Critical() bool { return o.Num&1 == 1 }

// Message is one message. Options lie in the order of their numbers.
type Message struct {
	Type    Type
	Code    Code
	ID      uint16
	Token   []byte
	Options []Option
	Payload []byte
}

// MaxOptions bounds the options of a message that is decoded.
const MaxOptions = 64

// The errors of Decode.
var (
	ErrVersion = errors.New("coap: not version 1") // to be ignored without a word
	ErrForm    = errors.New("coap: malformed message")
)

const (
	version  = 1
	maxToken = 8
	marker   = 0xff // before a payload
)

// Decode reads the datagram b. Behind [ErrForm] type, code and id are those of
// the header, where there was a whole one, else the code is Empty and the type
// NON.
func (m *Message) Decode(b []byte) error {
	opts := m.Options[:0]
	*m = Message{Type: NON, Options: opts}
	if len(b) < 4 {
		return ErrForm
	}
	if b[0]>>6 != version {
		return ErrVersion
	}
	m.Type, m.Code, m.ID = Type(b[0]>>4&3), Code(b[1]), binary.BigEndian.Uint16(b[2:])
	n := int(b[0] & 15)
	if n > maxToken || len(b) < 4+n {
		return ErrForm
	}
	m.Token = b[4 : 4+n : 4+n]
	b = b[4+n:]
	if m.Code == Empty && (n > 0 || len(b) > 0) { // RFC 7252, section 4.1
		return ErrForm
	}
	return m.options(b)
}

func (m *Message) options(b []byte) error {
	num := 0
	for len(b) > 0 {
		if b[0] == marker {
			if len(b) == 1 {
				return ErrForm
			}
			m.Payload = b[1:]
			return nil
		}
		delta, size := int(b[0]>>4), int(b[0]&15)
		b = b[1:]
		var ok bool
		if delta, b, ok = extended(delta, b); !ok {
			return ErrForm
		}
		if size, b, ok = extended(size, b); !ok {
			return ErrForm
		}
		if num += delta; num > 0xffff || size > len(b) || len(m.Options) == MaxOptions {
			return ErrForm
		}
		m.Options = append(m.Options, Option{uint16(num), b[:size:size]})
		b = b[size:]
	}
	return nil
}

// extended reads what stands behind an option's first byte for 13 and 14.
func extended(v int, b []byte) (int, []byte, bool) {
	switch {
	case v == 15, v == 13 && len(b) < 1, v == 14 && len(b) < 2:
		return 0, nil, false
	case v == 13:
		return int(b[0]) + 13, b[1:], true
	case v == 14:
		return int(binary.BigEndian.Uint16(b)) + 269, b[2:], true
	}
	return v, b, true
}

// Append writes the message behind out. Its options must lie in order.
func (m *Message) Append(out []byte) []byte {
	out = append(out, version<<6|byte(m.Type)<<4|byte(len(m.Token)), byte(m.Code), byte(m.ID>>8), byte(m.ID))
	out = append(out, m.Token...)
	last := 0
	for _, o := range m.Options {
		out = appendOption(out, int(o.Num)-last, o.Value)
		last = int(o.Num)
	}
	if len(m.Payload) > 0 {
		out = append(append(out, marker), m.Payload...)
	}
	return out
}

func appendOption(out []byte, delta int, value []byte) []byte {
	at := len(out)
	out = append(out, 0)
	var high, low byte
	high, out = shorten(delta, out)
	low, out = shorten(len(value), out)
	out[at] = high<<4 | low
	return append(out, value...)
}

func shorten(v int, out []byte) (byte, []byte) {
	switch {
	case v < 13:
		return byte(v), out
	case v < 269:
		return 13, append(out, byte(v-13))
	}
	return 14, append(out, byte((v-269)>>8), byte(v-269))
}

// Get returns the value of the first option with a number.
func (m *Message) Get(num uint16) (value []byte, ok bool) {
	for _, o := range m.Options {
		if o.Num == num {
			return o.Value, true
		}
	}
	return nil, false
}

// Uint returns the first option with a number as a number; ok is false where
// there is none, or one of more than four bytes.
func (m *Message) Uint(num uint16) (v uint32, ok bool) {
	b, ok := m.Get(num)
	if !ok || len(b) > 4 {
		return 0, false
	}
	return readUint(b), true
}

func readUint(b []byte) (v uint32) {
	for _, c := range b {
		v = v<<8 | uint32(c)
	}
	return v
}

// AppendUint writes a number as the value of an option: as short as it can be.
func AppendUint(out []byte, v uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if v>>shift != 0 {
			out = append(out, byte(v>>shift))
		}
	}
	return out
}

// Path returns the segments of the URI's path with slashes between.
func (m *Message) Path() string {
	var b []byte
	for _, o := range m.Options {
		if o.Num == URIPath {
			if b != nil {
				b = append(b, '/')
			}
			b = append(b, o.Value...)
		}
	}
	return string(b)
}
