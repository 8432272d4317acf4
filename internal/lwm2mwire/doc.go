// Package lwm2mwire is what LwM2M puts into the payloads of CoAP: resources as
// TLV, JSON, SenML JSON, SenML CBOR, plain text and opaque bytes (OMA LwM2M TS
// 1.0 section 6.4, TS 1.1 section 7.4), and lists of links (RFC 6690).
//
// It knows neither objects nor what they mean: a caller asks a [Value] for what
// it expects. Every decoder bounds what it makes of what it reads.
package lwm2mwire

import (
	"errors"
	"fmt"
)

// Format is a content format of CoAP.
type Format uint16

// The formats. Text and Opaque carry one resource, the others any number.
const (
	Text      Format = 0
	Links     Format = 40
	Opaque    Format = 42
	SenMLJSON Format = 110
	SenMLCBOR Format = 112
	TLV       Format = 11542
	JSON      Format = 11543
)

// maxEntries bounds the resources of one payload.
const maxEntries = 4096

// ErrFormat says that a payload is in a format that is not known here.
var ErrFormat = errors.New("lwm2m: unknown content format")

// Entry is one resource, or one instance of a resource that has several.
type Entry struct {
	Path  Path
	Value Value
}

// Decode reads a payload that answers about base, which may name an object, an
// instance, a resource or an instance of a resource. Where it names an object
// or an instance only, the entries' paths say which resource each is.
func Decode(f Format, base Path, b []byte) ([]Entry, error) {
	switch f {
	case Text:
		return []Entry{{base, FromText(b)}}, nil
	case Opaque:
		return []Entry{{base, Bytes(b)}}, nil
	case TLV:
		return decodeTLV(base, b)
	case JSON:
		return decodeJSON(base, b)
	case SenMLJSON:
		return decodeSenMLJSON(base, b)
	case SenMLCBOR:
		return decodeSenMLCBOR(base, b)
	}
	return nil, fmt.Errorf("%w %d", ErrFormat, f)
}

// Encode writes entries that lie below base, or are it.
func Encode(f Format, base Path, entries []Entry) ([]byte, error) {
	for _, e := range entries {
		if !base.Holds(e.Path) {
			return nil, fmt.Errorf("lwm2m: %s is not below %s", e.Path, base)
		}
	}
	switch f {
	case Text, Opaque:
		if len(entries) != 1 {
			return nil, fmt.Errorf("lwm2m: %d resources in a format for one", len(entries))
		}
		if f == Opaque {
			return entries[0].Value.Bytes(), nil
		}
		return entries[0].Value.text(), nil
	case TLV:
		return encodeTLV(base, entries)
	case JSON:
		return encodeJSON(base, entries)
	case SenMLJSON:
		return encodeSenMLJSON(base, entries)
	case SenMLCBOR:
		return encodeSenMLCBOR(base, entries)
	}
	return nil, fmt.Errorf("%w %d", ErrFormat, f)
}
