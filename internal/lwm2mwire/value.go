package lwm2mwire

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Type says what a value was sent as.
type Type byte

// The types. TLV and plain text do not say a type, so their values are Unknown,
// and mean what the caller asks for.
const (
	Unknown Type = iota
	Integer
	Float
	Boolean
	String
	Binary
	ObjectLink
)

// Value is the value of one resource.
type Value struct {
	Type   Type
	raw    []byte // Unknown in binary form, Binary
	str    string // String; Unknown as text; a number as it was written
	i      int64
	f      float64
	b      bool
	worded bool // Unknown: it is text and not binary
}

// Int makes an integer.
func Int(i int64) Value { return Value{Type: Integer, i: i} }

// Num makes a number with a fraction.
func Num(f float64) Value { return Value{Type: Float, f: f} }

// Bool makes a truth value.
func Bool(b bool) Value { return Value{Type: Boolean, b: b} }

// Str makes a text.
func Str(s string) Value { return Value{Type: String, str: s} }

// Bytes makes opaque bytes; they are not copied.
func Bytes(b []byte) Value { return Value{Type: Binary, raw: b} }

// Link makes a link to an object and its instance.
func Link(object, instance uint16) Value {
	return Value{Type: ObjectLink, i: int64(object)<<16 | int64(instance)}
}

// FromText is the value of a resource that was sent as plain text.
func FromText(b []byte) Value { return Value{str: string(b), worded: true} }

// FromTLV is the value of a resource that was sent in TLV; b is not copied.
func FromTLV(b []byte) Value { return Value{raw: b} }

// Int reads the value as an integer. ok is false where it is none.
func (v Value) Int() (i int64, ok bool) {
	switch v.Type {
	case Integer:
		return v.i, true
	case Float:
		if v.f == math.Trunc(v.f) && math.Abs(v.f) < 1<<53 {
			return int64(v.f), true
		}
	case Boolean:
		if v.b {
			return 1, true
		}
		return 0, true
	case Unknown:
		if v.worded {
			i, err := strconv.ParseInt(strings.TrimSpace(v.str), 10, 64)
			return i, err == nil
		}
		return signed(v.raw)
	}
	return 0, false
}

// signed reads an integer of 1, 2, 4 or 8 bytes in two's complement.
func signed(b []byte) (int64, bool) {
	switch len(b) {
	case 1:
		return int64(int8(b[0])), true
	case 2:
		return int64(int16(binary.BigEndian.Uint16(b))), true
	case 4:
		return int64(int32(binary.BigEndian.Uint32(b))), true
	case 8:
		return int64(binary.BigEndian.Uint64(b)), true
	}
	return 0, false
}

// Float reads the value as a number.
func (v Value) Float() (f float64, ok bool) {
	switch v.Type {
	case Float:
		return v.f, true
	case Unknown:
		if v.worded {
			f, err := strconv.ParseFloat(strings.TrimSpace(v.str), 64)
			return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
		}
		switch len(v.raw) {
		case 4:
			f = float64(math.Float32frombits(binary.BigEndian.Uint32(v.raw)))
		case 8:
			f = math.Float64frombits(binary.BigEndian.Uint64(v.raw))
		default:
			return 0, false
		}
		return f, !math.IsInf(f, 0) && !math.IsNaN(f)
	}
	i, ok := v.Int()
	return float64(i), ok
}

// Bool reads the value as a truth value.
func (v Value) Bool() (b, ok bool) {
	if v.Type == String {
		return v.str == "true", v.str == "true" || v.str == "false"
	}
	i, ok := v.Int()
	return i == 1, ok && (i == 0 || i == 1)
}

// Text reads the value as text: a number as it was written where that is known.
// ok is false where it is no text that people could read.
func (v Value) Text() (s string, ok bool) {
	switch v.Type {
	case String:
		return v.str, true
	case Unknown:
		if v.worded {
			return v.str, utf8.ValidString(v.str)
		}
		return string(v.raw), utf8.Valid(v.raw)
	case Binary:
		return "", false
	}
	return string(v.text()), true
}

// Bytes reads the value as opaque bytes.
func (v Value) Bytes() []byte {
	switch {
	case v.Type == Binary, v.Type == Unknown && !v.worded:
		return v.raw
	case v.Type == Unknown, v.Type == String:
		return []byte(v.str)
	}
	return v.text()
}

// text writes the value as plain text has it.
func (v Value) text() []byte {
	switch v.Type {
	case Integer:
		if v.str != "" {
			return []byte(v.str)
		}
		return strconv.AppendInt(nil, v.i, 10)
	case Float:
		if v.str != "" {
			return []byte(v.str)
		}
		return strconv.AppendFloat(nil, v.f, 'g', -1, 64)
	case Boolean:
		if v.b {
			return []byte("1")
		}
		return []byte("0")
	case ObjectLink:
		return strconv.AppendInt(append(strconv.AppendInt(nil, v.i>>16, 10), ':'), v.i&0xffff, 10)
	case Binary:
		return []byte(base64.StdEncoding.EncodeToString(v.raw))
	case Unknown:
		if !v.worded {
			return []byte(base64.StdEncoding.EncodeToString(v.raw))
		}
	}
	return []byte(v.str)
}

// number is a number that was written as text in JSON; it keeps what was
// written.
func number(s string) (Value, bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Value{Type: Integer, i: i, str: s}, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return Value{}, false
	}
	return Value{Type: Float, f: f, str: s}, true
}

// link reads "66:0".
func link(s string) (Value, bool) {
	a, b, ok := strings.Cut(s, ":")
	object, e1 := strconv.ParseUint(a, 10, 16)
	instance, e2 := strconv.ParseUint(b, 10, 16)
	if !ok || e1 != nil || e2 != nil {
		return Value{}, false
	}
	return Link(uint16(object), uint16(instance)), true
}
