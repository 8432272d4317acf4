package redis

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"time"
)

// A packed record is a sequence of fields: key = number<<2 | form, then the
// value in its form. A field that is zero is left out, one that is not known is
// skipped, so that fields can be added while old and new processes run side by
// side. A field's number is never used again for something else.
const (
	formInt   = 0 // zigzag varint
	formBytes = 1 // length, bytes
	formUUID  = 2 // the 16 bytes of a text that is a UUID in lower case
	formFloat = 3 // 8 bytes, IEEE 754, big endian
)

var errPacked = errors.New("packed record is damaged")

// enc appends fields.
type enc struct{ b []byte }

func (e *enc) key(n, form int) { e.b = binary.AppendUvarint(e.b, uint64(n)<<2|uint64(form)) }

func (e *enc) int(n int, v int64) {
	if v != 0 {
		e.intAlways(n, v)
	}
}

func (e *enc) intAlways(n int, v int64) {
	e.key(n, formInt)
	e.b = binary.AppendVarint(e.b, v)
}

func (e *enc) flag(n int, v bool) {
	if v {
		e.intAlways(n, 1)
	}
}

func (e *enc) float(n int, v float64) {
	if bits := math.Float64bits(v); bits != 0 {
		e.key(n, formFloat)
		e.b = binary.BigEndian.AppendUint64(e.b, bits)
	}
}

// time writes milliseconds since base, itself in milliseconds.
func (e *enc) time(n int, t time.Time, base int64) {
	if !t.IsZero() {
		e.intAlways(n, t.UnixMilli()-base)
	}
}

func (e *enc) str(n int, s string) {
	if s != "" {
		e.strAlways(n, s)
	}
}

func (e *enc) strAlways(n int, s string) {
	if id, ok := packUUID(s); ok {
		e.key(n, formUUID)
		e.b = append(e.b, id[:]...)
		return
	}
	e.key(n, formBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(s)))
	e.b = append(e.b, s...)
}

// word writes a text that is mostly one of words: as its place among them.
func (e *enc) word(n int, s string, words []string) {
	if s == "" {
		return
	}
	if i := slices.Index(words, s); i >= 0 {
		e.intAlways(n, int64(i))
		return
	}
	e.strAlways(n, s)
}

// msg writes what fill appends as one field, even where that is nothing.
func (e *enc) msg(n int, fill func(*enc)) {
	e.key(n, formBytes)
	start := len(e.b)
	e.b = append(e.b, 0)
	fill(e)
	size := len(e.b) - start - 1
	if size < 0x80 {
		e.b[start] = byte(size)
		return
	}
	var l [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(l[:], uint64(size))
	e.b = append(e.b, l[1:k]...)
	copy(e.b[start+k:], e.b[start+1:start+1+size])
	copy(e.b[start:], l[:k])
}

// dec reads fields. The texts it hands out share the memory of s.
type dec struct {
	s string
	n int // number of the field at hand

	form int
	num  int64
	text string
	err  *error // shared with nested readers
}

func newDec(s string) *dec { return &dec{s: s, err: new(error)} }

// next steps to the next field; false at the end and after damage.
func (d *dec) next() bool {
	if d.s == "" || *d.err != nil {
		return false
	}
	key, ok := d.uvarint()
	if !ok || key>>2 > 1<<16 {
		return d.fail()
	}
	d.n, d.form = int(key>>2), int(key&3)
	switch d.form {
	case formInt:
		v, ok := d.uvarint()
		if !ok {
			return d.fail()
		}
		d.num = int64(v>>1) ^ -int64(v&1)
		return true
	case formBytes:
		l, ok := d.uvarint()
		if !ok {
			return d.fail()
		}
		return d.take(l)
	case formUUID:
		return d.take(16)
	}
	return d.take(8)
}

func (d *dec) take(n uint64) bool {
	if n > uint64(len(d.s)) {
		return d.fail()
	}
	d.text, d.s = d.s[:n], d.s[n:]
	return true
}

func (d *dec) fail() bool {
	*d.err = errPacked
	return false
}

func (d *dec) uvarint() (uint64, bool) {
	var v uint64
	for i := 0; i < len(d.s) && i < binary.MaxVarintLen64; i++ {
		c := d.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			return v, true
		}
	}
	return 0, false
}

func (d *dec) is(form int) bool {
	if d.form != form {
		d.fail()
		return false
	}
	return true
}

func (d *dec) int() int64 {
	if !d.is(formInt) {
		return 0
	}
	return d.num
}

func (d *dec) flag() bool { return d.int() != 0 }

func (d *dec) float() float64 {
	if !d.is(formFloat) {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64([]byte(d.text)))
}

// time is the inverse of enc.time. It is in UTC.
func (d *dec) time(base int64) time.Time { return time.UnixMilli(base + d.int()).UTC() }

func (d *dec) str() string {
	if d.form == formUUID {
		return unpackUUID(d.text)
	}
	if !d.is(formBytes) {
		return ""
	}
	return d.text
}

func (d *dec) word(words []string) string {
	if d.form != formInt {
		return d.str()
	}
	if d.num < 0 || d.num >= int64(len(words)) {
		d.fail()
		return ""
	}
	return words[d.num]
}

// msg reads the fields of a nested message.
func (d *dec) msg() *dec {
	if !d.is(formBytes) {
		return &dec{err: d.err}
	}
	return &dec{s: d.text, err: d.err}
}

// packUUID returns the bytes of a UUID in lower case; ok is false where s would
// not come back the same.
func packUUID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	j := 0
	for i := 0; i < 36; i += 2 {
		if s[i] == '-' {
			i++
		}
		hi, lo := nibble(s[i]), nibble(s[i+1])
		if hi|lo > 15 {
			return id, false
		}
		id[j] = hi<<4 | lo
		j++
	}
	return id, true
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// unpackUUID is the inverse of packUUID; b has 16 bytes.
func unpackUUID(b string) string {
	var raw [16]byte
	copy(raw[:], b)
	var s [36]byte
	hex.Encode(s[0:8], raw[0:4])
	hex.Encode(s[9:13], raw[4:6])
	hex.Encode(s[14:18], raw[6:8])
	hex.Encode(s[19:23], raw[8:10])
	hex.Encode(s[24:36], raw[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
