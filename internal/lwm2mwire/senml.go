package lwm2mwire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

var errSenML = errors.New("lwm2m: broken SenML")

// record is one element of a SenML pack in JSON (RFC 8428), with LwM2M's own
// member for links to objects. Times are read over: a value that is sent is the
// latest.
type record struct {
	BaseName string       `json:"bn,omitempty"`
	Name     string       `json:"n,omitempty"`
	Number   *json.Number `json:"v,omitempty"`
	Text     *string      `json:"vs,omitempty"`
	Bool     *bool        `json:"vb,omitempty"`
	Data     *string      `json:"vd,omitempty"`
	Link     *string      `json:"vlo,omitempty"`
}

func decodeSenMLJSON(base Path, b []byte) ([]Entry, error) {
	var pack []record
	if err := decodeOne(b, &pack); err != nil {
		return nil, fmt.Errorf("%w: %w", errSenML, err)
	}
	var out []Entry
	bn := ""
	for _, r := range pack {
		if r.BaseName != "" {
			bn = r.BaseName
		}
		v, ok, err := r.value()
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if out, err = addEntry(out, base, bn, r.Name, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decodeOne reads one JSON value and refuses what stands behind it.
func decodeOne(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

func addEntry(out []Entry, base Path, bn, n string, v Value) ([]Entry, error) {
	if len(out) == maxEntries {
		return nil, fmt.Errorf("lwm2m: more than %d resources", maxEntries)
	}
	p, err := joined(base, bn, n)
	if err != nil {
		return nil, err
	}
	return append(out, Entry{p, v}), nil
}

func (r *record) value() (v Value, ok bool, err error) {
	switch {
	case r.Number != nil:
		v, ok = number(r.Number.String())
	case r.Text != nil:
		v, ok = Str(*r.Text), true
	case r.Bool != nil:
		v, ok = Bool(*r.Bool), true
	case r.Data != nil:
		data, e := base64.RawURLEncoding.DecodeString(strings.TrimRight(*r.Data, "="))
		v, ok = Bytes(data), e == nil
	case r.Link != nil:
		v, ok = link(*r.Link)
	default:
		return v, false, nil // only a base for others
	}
	if !ok {
		return v, false, fmt.Errorf("%w: a value that is none", errSenML)
	}
	return v, true, nil
}

// names splits the path of an entry: what all share, with a slash, and the rest.
func names(base Path, e Entry) (bn, n string) {
	bn = base.String()
	if n = relative(base, e.Path); n != "" && bn != "/" {
		bn += "/"
	}
	return bn, n
}

func encodeSenMLJSON(base Path, entries []Entry) ([]byte, error) {
	pack := make([]record, len(entries))
	for i, e := range entries {
		bn, n := names(base, e)
		r := record{Name: n}
		if i == 0 {
			r.BaseName = bn
		}
		switch v := e.Value; v.Type {
		case Integer, Float:
			num := json.Number(v.text())
			r.Number = &num
		case Boolean:
			r.Bool = &v.b
		case ObjectLink:
			s := string(v.text())
			r.Link = &s
		case Binary:
			s := base64.RawURLEncoding.EncodeToString(v.raw)
			r.Data = &s
		default:
			s, ok := v.Text()
			if !ok {
				return nil, fmt.Errorf("lwm2m: %s has bytes of no type", e.Path)
			}
			r.Text = &s
		}
		pack[i] = r
	}
	return json.Marshal(pack)
}

// cborRecord is one element of a SenML pack in CBOR.
type cborRecord struct {
	BaseName string  `cbor:"-2,keyasint,omitempty"`
	Name     string  `cbor:"0,keyasint,omitempty"`
	Number   any     `cbor:"2,keyasint,omitempty"`
	Text     *string `cbor:"3,keyasint,omitempty"`
	Bool     *bool   `cbor:"4,keyasint,omitempty"`
	Data     *[]byte `cbor:"8,keyasint,omitempty"`
	Link     *string `cbor:"vlo,omitempty"`
}

var cborIn = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		MaxNestedLevels: 8, MaxArrayElements: maxEntries, MaxMapPairs: 64, IndefLength: cbor.IndefLengthAllowed,
		IntDec: cbor.IntDecConvertSignedOrFail,
	}.DecMode()
	if err != nil { // the options are constants
		panic(err)
	}
	return m
}()

func decodeSenMLCBOR(base Path, b []byte) ([]Entry, error) {
	var pack []cborRecord
	if err := cborIn.Unmarshal(b, &pack); err != nil {
		return nil, fmt.Errorf("%w: %w", errSenML, err)
	}
	var out []Entry
	bn := ""
	for _, r := range pack {
		if r.BaseName != "" {
			bn = r.BaseName
		}
		var v Value
		switch num := r.Number.(type) {
		case nil:
			switch {
			case r.Text != nil:
				v = Str(*r.Text)
			case r.Bool != nil:
				v = Bool(*r.Bool)
			case r.Data != nil:
				v = Bytes(*r.Data)
			case r.Link != nil:
				var ok bool
				if v, ok = link(*r.Link); !ok {
					return nil, fmt.Errorf("%w: %.20q is no link", errSenML, *r.Link)
				}
			default:
				continue
			}
		case int64:
			v = Int(num)
		case float64:
			if math.IsNaN(num) || math.IsInf(num, 0) {
				return nil, fmt.Errorf("%w: a number that is none", errSenML)
			}
			v = Num(num)
		default:
			return nil, fmt.Errorf("%w: a number of another type", errSenML)
		}
		var err error
		if out, err = addEntry(out, base, bn, r.Name, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func encodeSenMLCBOR(base Path, entries []Entry) ([]byte, error) {
	pack := make([]cborRecord, len(entries))
	for i, e := range entries {
		bn, n := names(base, e)
		r := cborRecord{Name: n}
		if i == 0 {
			r.BaseName = bn
		}
		switch v := e.Value; v.Type {
		case Integer:
			r.Number = v.i
		case Float:
			r.Number = v.f
		case Boolean:
			r.Bool = &v.b
		case ObjectLink:
			s := string(v.text())
			r.Link = &s
		case String:
			r.Text = &v.str
		default:
			b := v.Bytes()
			r.Data = &b
		}
		pack[i] = r
	}
	return cbor.Marshal(pack)
}
