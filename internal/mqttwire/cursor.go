package mqttwire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

var (
	errShort    = malformed("1.5", "packet ends in the middle of a field")
	errTrailing = malformed("2.1.4", "bytes after the last field")
	errUTF8     = malformed("MQTT-1.5.4-1", "text is not UTF-8")
	errNUL      = malformed("MQTT-1.5.4-2", "text holds U+0000")
	errTooLong  = malformed("1.5.4", "text or binary value over 65535 bytes")
)

// cursor walks a body. The first failure sticks, so that a decoder may read
// all its fields and ask once.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.b = nil
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.fail(errShort)
		return nil
	}
	head := c.b[:n:n]
	c.b = c.b[n:]
	return head
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) varint() int {
	n, used, err := varint(c.b, true)
	if err == nil && used == 0 {
		err = errShort
	}
	if err != nil {
		c.fail(err)
		return 0
	}
	c.b = c.b[used:]
	return n
}

// binary reads a value with a two-byte length (section 1.5.6).
func (c *cursor) binary() []byte { return c.take(int(c.uint16())) }

// text reads a UTF-8 string with a two-byte length (section 1.5.4).
func (c *cursor) text() []byte {
	b := c.binary()
	if err := checkText(b); err != nil {
		c.fail(err)
		return nil
	}
	return b
}

// end says whether all went well and nothing is left.
func (c *cursor) end() error {
	if c.err == nil && len(c.b) > 0 {
		return errTrailing
	}
	return c.err
}

// checkText applies the rules for every text in a packet. Other control
// characters are merely advised against (section 1.5.4) and let through.
func checkText(b []byte) error {
	if !utf8.Valid(b) {
		return errUTF8
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return errNUL
	}
	return nil
}

func appendBinary(dst, b []byte) ([]byte, error) {
	if len(b) > 65535 {
		return dst, errTooLong
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b)))
	return append(dst, b...), nil
}
