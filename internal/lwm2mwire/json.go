package lwm2mwire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

var errJSON = errors.New("lwm2m: broken JSON")

// document is the JSON of LwM2M 1.0 (TS 1.0, 6.4.4). Opaque bytes stand in "sv"
// as base64, which the value does not tell: whoever wants bytes of a text asks
// [Opaqued].
type document struct {
	BaseName string    `json:"bn,omitempty"`
	Entries  []element `json:"e"`
}

type element struct {
	Name   string       `json:"n"`
	Number *json.Number `json:"v,omitempty"`
	Bool   *bool        `json:"bv,omitempty"`
	Text   *string      `json:"sv,omitempty"`
	Link   *string      `json:"ov,omitempty"`
}

func decodeJSON(base Path, b []byte) ([]Entry, error) {
	var doc document
	if err := decodeOne(b, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", errJSON, err)
	}
	var out []Entry
	for _, e := range doc.Entries {
		var v Value
		ok := true
		switch {
		case e.Number != nil:
			v, ok = number(e.Number.String())
		case e.Bool != nil:
			v = Bool(*e.Bool)
		case e.Text != nil:
			v = Str(*e.Text)
		case e.Link != nil:
			v, ok = link(*e.Link)
		default:
			continue
		}
		if !ok {
			return nil, fmt.Errorf("%w: a value that is none", errJSON)
		}
		var err error
		if out, err = addEntry(out, base, doc.BaseName, e.Name, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Opaqued reads a value as opaque bytes where its format may have written them
// as base64 text.
func Opaqued(v Value) ([]byte, bool) {
	if v.Type != String && (v.Type != Unknown || !v.worded) {
		return v.Bytes(), true
	}
	b, err := base64.StdEncoding.DecodeString(v.str)
	return b, err == nil
}

func encodeJSON(base Path, entries []Entry) ([]byte, error) {
	doc := document{Entries: make([]element, len(entries))}
	for i, x := range entries {
		bn, n := names(base, x)
		doc.BaseName = bn
		e := element{Name: n}
		s := string(x.Value.text())
		switch x.Value.Type {
		case Integer, Float:
			num := json.Number(s)
			e.Number = &num
		case Boolean:
			e.Bool = &x.Value.b
		case ObjectLink:
			e.Link = &s
		default:
			e.Text = &s
		}
		doc.Entries[i] = e
	}
	return json.Marshal(doc)
}
