package coapx

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
)

// Message is a request or a response as its sender means it; token, message id
// and type belong to the exchange.
type Message struct {
	Code    codes.Code
	Options message.Options
	Payload []byte

	// Anew says of a response that a repeated request may be answered anew, so
	// that nothing is kept of it.
	Anew bool
	// After is called when a response was handed to the socket for the first
	// time; may be nil.
	After func()
}

// Request makes a request for a path such as "/5/0/3".
func Request(code codes.Code, path string) *Message {
	m := &Message{Code: code}
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part != "" {
			m.Add(message.URIPath, part)
		}
	}
	return m
}

// Response makes a response without a payload.
func Response(code codes.Code) *Message { return &Message{Code: code} }

// Add adds an option that is text, beside those of its name.
func (m *Message) Add(id message.OptionID, v string) *Message {
	m.Options = m.Options.Add(message.Option{ID: id, Value: []byte(v)})
	return m
}

// Set sets an option that is a number, in the fewest bytes.
func (m *Message) Set(id message.OptionID, v uint32) *Message {
	b := binary.BigEndian.AppendUint32(nil, v)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	m.Options = m.Options.Set(message.Option{ID: id, Value: b})
	return m
}

// Uint reads an option that is a number.
func (m *Message) Uint(id message.OptionID) (v uint32, ok bool) {
	v, err := m.Options.GetUint32(id)
	return v, err == nil
}

// Strings lists the values of an option.
func (m *Message) Strings(id message.OptionID) (out []string) {
	for _, o := range m.Options {
		if o.ID == id {
			out = append(out, string(o.Value))
		}
	}
	return out
}

// Path is where a request goes, with a slash before each part.
func (m *Message) Path() string { return "/" + strings.Join(m.Strings(message.URIPath), "/") }

// Block reads a block option: Block1 or Block2.
func (m *Message) Block(id message.OptionID) (Block, bool) {
	v, ok := m.Uint(id)
	if !ok {
		return Block{}, false
	}
	return Block{Num: v >> 4, More: v&8 != 0, SZX: byte(v & 7)}, true
}

// SetBlock sets a block option.
func (m *Message) SetBlock(id message.OptionID, b Block) *Message {
	v := b.Num<<4 | uint32(b.SZX)
	if b.More {
		v |= 8
	}
	return m.Set(id, v)
}

// clone copies a message as far as options may be set in the copy.
func (m *Message) clone() *Message {
	c := *m
	c.Options = append(message.Options(nil), m.Options...)
	return &c
}

// Block names a piece of a body (RFC 7959).
type Block struct {
	Num  uint32
	More bool
	SZX  byte // a piece has 16 << SZX bytes; 7 is reserved
}

// MaxSZX is the largest size of a block: 1024 bytes.
const MaxSZX = 6

// MaxBlockNum is the last number that a block can have.
const MaxBlockNum = 1<<20 - 1

// Size is how many bytes the piece has, the last one of a body set aside.
func (b Block) Size() int64 { return 16 << min(b.SZX, MaxSZX) }

// Off is where the piece begins.
func (b Block) Off() int64 { return int64(b.Num) * b.Size() }

// packet is a message on the wire.
type packet struct {
	Message
	typ   message.Type
	mid   uint16
	token string
}

var errPacket = errors.New("coap: not a message")

// decode reads a datagram. The result shares nothing with it.
func decode(b []byte) (p packet, err error) {
	var m message.Message
	b = append([]byte(nil), b...)
	m.Options = make(message.Options, 0, 16)
	for {
		_, err = coder.DefaultCoder.Decode(b, &m)
		if !errors.Is(err, message.ErrOptionsTooSmall) || cap(m.Options) > 256 {
			break
		}
		m.Options = make(message.Options, 0, 4*cap(m.Options))
	}
	switch {
	case err != nil:
		return p, err
	case m.Code == codes.Empty && (len(m.Token) > 0 || len(m.Options) > 0 || len(m.Payload) > 0 || len(b) != 4):
		return p, errPacket
	}
	return packet{Message: Message{Code: m.Code, Options: m.Options, Payload: m.Payload}, typ: m.Type, mid: uint16(m.MessageID), token: string(m.Token)}, nil
}

// encode writes a datagram.
func (p *packet) encode() ([]byte, error) {
	m := message.Message{Token: []byte(p.token), Options: p.Options, Code: p.Code, Payload: p.Payload, MessageID: int32(p.mid), Type: p.typ}
	n, err := coder.DefaultCoder.Size(m)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = coder.DefaultCoder.Encode(m, b)
	return b, err
}

func isRequest(c codes.Code) bool { return c > 0 && c < 32 }
