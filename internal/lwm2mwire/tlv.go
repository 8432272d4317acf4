package lwm2mwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What the first two bits of a TLV header say.
const (
	tlvInstance         = 0 // an instance of an object, with its resources in it
	tlvResourceInstance = 1
	tlvMultiple         = 2 // a resource with several instances in it
	tlvResource         = 3
)

var errTLV = errors.New("lwm2m: broken TLV")

// tlv is one record.
type tlv struct {
	kind  byte
	id    uint16
	value []byte
}

// nextTLV cuts the first record off b.
func nextTLV(b []byte) (t tlv, rest []byte, err error) {
	if len(b) < 2 {
		return t, nil, errTLV
	}
	head := b[0]
	t.kind, b = head>>6, b[1:]
	if head&0x20 == 0 {
		t.id, b = uint16(b[0]), b[1:]
	} else {
		if len(b) < 2 {
			return t, nil, errTLV
		}
		t.id, b = binary.BigEndian.Uint16(b), b[2:]
	}
	size := int(head & 7)
	if n := int(head >> 3 & 3); n > 0 { // the length stands in so many bytes
		if len(b) < n {
			return t, nil, errTLV
		}
		size = 0
		for _, c := range b[:n] {
			size = size<<8 | int(c)
		}
		b = b[n:]
	}
	if len(b) < size {
		return t, nil, errTLV
	}
	t.value = b[:size]
	return t, b[size:], nil
}

// decodeTLV reads records about base. A client may answer about an instance
// with the instance around its resources or without it (TS 1.0, 6.4.3).
func decodeTLV(base Path, b []byte) ([]Entry, error) {
	var out []Entry
	add := func(p Path, v []byte) error {
		if len(out) == maxEntries {
			return fmt.Errorf("%w: more than %d resources", errTLV, maxEntries)
		}
		out = append(out, Entry{p, FromTLV(v)})
		return nil
	}
	var read func(at Path, b []byte, inside byte) error
	read = func(at Path, b []byte, inside byte) error {
		for len(b) > 0 {
			t, rest, err := nextTLV(b)
			if err != nil {
				return err
			}
			b = rest
			switch t.kind {
			case tlvInstance:
				if inside != 0xff || at.Depth < 1 {
					return fmt.Errorf("%w: an instance within a resource", errTLV)
				}
				err = read(at.Upper(1).Below(t.id), t.value, tlvInstance)
			case tlvMultiple:
				if inside == tlvMultiple {
					return fmt.Errorf("%w: a resource within a resource", errTLV)
				}
				err = read(resourceOf(at, t.id), t.value, tlvMultiple)
			case tlvResource:
				if inside == tlvMultiple {
					return fmt.Errorf("%w: a resource within a resource", errTLV)
				}
				err = add(resourceOf(at, t.id), t.value)
			case tlvResourceInstance:
				if at.Depth < 3 {
					return fmt.Errorf("%w: an instance of no resource", errTLV)
				}
				err = add(at.Upper(3).Below(t.id), t.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if base.Depth == 0 {
		return nil, fmt.Errorf("%w: nothing was asked for", errTLV)
	}
	return out, read(base, b, 0xff)
}

// resourceOf is the path of a resource in an answer about at. An answer about an
// object without an instance around it is about the first one.
func resourceOf(at Path, id uint16) Path {
	if at.Depth == 1 {
		return at.Below(0, id)
	}
	return at.Upper(2).Below(id)
}

func appendTLV(out []byte, kind byte, id uint16, value []byte) ([]byte, error) {
	head := kind << 6
	size := len(value)
	if id > math.MaxUint8 {
		head |= 0x20
	}
	var n int
	switch {
	case size < 8:
		head |= byte(size)
	case size < 1<<8:
		n = 1
	case size < 1<<16:
		n = 2
	case size < 1<<24:
		n = 3
	default:
		return nil, fmt.Errorf("lwm2m: %d bytes do not fit into TLV", size)
	}
	out = append(out, head|byte(n)<<3)
	if id > math.MaxUint8 {
		out = append(out, byte(id>>8))
	}
	out = append(out, byte(id))
	for i := n - 1; i >= 0; i-- {
		out = append(out, byte(size>>(8*i)))
	}
	return append(out, value...), nil
}

// encodeTLV writes entries in their order; those of one instance, and of one
// resource with several instances, must stand together.
func encodeTLV(base Path, entries []Entry) (out []byte, err error) {
	for len(entries) > 0 {
		first := entries[0].Path
		n := 1
		switch {
		case first.Depth < 3:
			return nil, fmt.Errorf("lwm2m: %s is no resource", first)
		case base.Depth == 1: // the instance goes around its resources
			at := first.Upper(2)
			for n < len(entries) && at.Holds(entries[n].Path) {
				n++
			}
			inner, err := encodeTLV(at, entries[:n])
			if err != nil {
				return nil, err
			}
			out, err = appendTLV(out, tlvInstance, at.ID[1], inner)
			if err != nil {
				return nil, err
			}
		case first.Depth == 4 && base.Depth < 4:
			at := first.Upper(3)
			for n < len(entries) && entries[n].Path.Depth == 4 && at.Holds(entries[n].Path) {
				n++
			}
			inner, err := encodeTLV(first, entries[:n])
			if err != nil {
				return nil, err
			}
			out, err = appendTLV(out, tlvMultiple, at.ID[2], inner)
			if err != nil {
				return nil, err
			}
		case first.Depth == 4:
			out, err = appendTLV(out, tlvResourceInstance, first.ID[3], entries[0].Value.tlv())
		default:
			out, err = appendTLV(out, tlvResource, first.ID[2], entries[0].Value.tlv())
		}
		if err != nil {
			return nil, err
		}
		entries = entries[n:]
	}
	return out, nil
}

// tlv writes the value as TLV has it: integers in the fewest bytes.
func (v Value) tlv() []byte {
	switch v.Type {
	case Integer:
		switch {
		case v.i == int64(int8(v.i)):
			return []byte{byte(v.i)}
		case v.i == int64(int16(v.i)):
			return binary.BigEndian.AppendUint16(nil, uint16(v.i))
		case v.i == int64(int32(v.i)):
			return binary.BigEndian.AppendUint32(nil, uint32(v.i))
		}
		return binary.BigEndian.AppendUint64(nil, uint64(v.i))
	case Float:
		return binary.BigEndian.AppendUint64(nil, math.Float64bits(v.f))
	case Boolean:
		if v.b {
			return []byte{1}
		}
		return []byte{0}
	case ObjectLink:
		return binary.BigEndian.AppendUint32(nil, uint32(v.i))
	}
	return v.Bytes()
}
