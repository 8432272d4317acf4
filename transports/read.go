package transports

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Datum is what a device says about one moment: one message of telemetry.
type Datum struct {
	TS     time.Time // when it says that it happened; zero: now
	Values []byte    // one JSON object, without nulls and with each key once
}

// lastTS is the end of the year 9999 in milliseconds: later times cannot be
// written in most forms.
const lastTS = 253402300799999

// ReadTelemetry reads a body of telemetry: an object of values, an object with
// "ts" (milliseconds) and "values", or an array of either. Values stay as they
// were written, so that 1.10 stays 1.10; null is left out, an empty text is
// not; of a key that is given twice the last counts. The order is kept. The
// result may point into body. Anything else is [ota.Invalid].
func ReadTelemetry(body []byte, l Limits) ([]Datum, error) {
	l = l.filled()
	b, err := check(body, l)
	if err != nil {
		return nil, err
	}
	left := l.Keys
	switch b[0] {
	case '{':
		d, err := readDatum(b, l, &left)
		if err != nil {
			return nil, err
		}
		return []Datum{d}, nil
	case '[':
		var out []Datum
		members(b, func(m member) bool {
			var d Datum
			if left--; left < 0 {
				err = invalid("more than %d values", l.Keys)
			} else if m.value[0] != '{' {
				err = invalid("telemetry is a list of objects, and element %d is none", len(out))
			} else {
				d, err = readDatum(m.value, l, &left)
			}
			out = append(out, d)
			return err == nil
		})
		if err != nil {
			return nil, err
		}
		return out, nil
	}
	return nil, invalid("telemetry is an object or a list of objects")
}

func readDatum(b []byte, l Limits, left *int) (Datum, error) {
	var ts, values []byte
	members(b, func(m member) bool {
		switch m.name {
		case "ts":
			ts = m.value
		case "values":
			values = m.value
		}
		return true
	})
	if ts == nil || values == nil {
		v, err := readObject(b, l, left)
		return Datum{Values: v}, err
	}
	at, err := strconv.ParseInt(strings.Trim(string(ts), `"`), 10, 64)
	if err != nil || at < 0 || at > lastTS {
		return Datum{}, invalid("ts is not a time in milliseconds")
	}
	if values[0] != '{' {
		return Datum{}, invalid("values is not an object")
	}
	v, err := readObject(values, l, left)
	return Datum{TS: time.UnixMilli(at), Values: v}, err
}

// ReadAttributes reads a body of attributes: one object, whose values stay as
// they were written, without nulls and with each key once. The result may point
// into body. Anything else is [ota.Invalid].
func ReadAttributes(body []byte, l Limits) ([]byte, error) {
	l = l.filled()
	b, err := check(body, l)
	if err != nil {
		return nil, err
	}
	if b[0] != '{' {
		return nil, invalid("attributes are one object")
	}
	left := l.Keys
	return readObject(b, l, &left)
}

// readObject returns b as it is where it has neither nulls nor a key twice,
// else an object without them.
func readObject(b []byte, l Limits, left *int) ([]byte, error) {
	var err error
	var few [16]member
	kept, mend := few[:0], false
	var seen map[string]int // where a name lies in kept; made when there are many
	members(b, func(m member) bool {
		if *left--; *left < 0 {
			err = invalid("more than %d values", l.Keys)
		} else if len(m.name) > l.Key {
			err = invalid("a key of %d bytes, %d at most", len(m.name), l.Key)
		}
		if err != nil {
			return false
		}
		if string(m.value) == "null" {
			mend = true
			return true
		}
		at := -1
		if seen == nil {
			at = slices.IndexFunc(kept, func(k member) bool { return k.name == m.name })
		} else if i, ok := seen[m.name]; ok {
			at = i
		}
		if at >= 0 {
			kept[at], mend = m, true
			return true
		}
		if kept = append(kept, m); seen != nil {
			seen[m.name] = len(kept) - 1
		} else if len(kept) == len(few) {
			seen = make(map[string]int, 2*len(few))
			for i, k := range kept {
				seen[k.name] = i
			}
		}
		return true
	})
	if err != nil || !mend {
		return b, err
	}
	return object(kept)
}

func object(ms []member) ([]byte, error) {
	out := []byte{'{'}
	for i, m := range ms {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil { // cannot happen with a string
			return nil, err
		}
		out = append(append(append(out, name...), ':'), m.value...)
	}
	return append(out, '}'), nil
}

// ReadAttributesRequest reads {"clientKeys":"a,b","sharedKeys":"c,d"}, each
// member optional; both nil: everything.
func ReadAttributesRequest(body []byte, l Limits) (client, shared []string, err error) {
	l = l.filled()
	b, err := check(body, l)
	if err != nil {
		return nil, nil, err
	}
	if b[0] != '{' {
		return nil, nil, invalid("a request for attributes is one object")
	}
	members(b, func(m member) bool {
		if m.name != "clientKeys" && m.name != "sharedKeys" || string(m.value) == "null" {
			return true
		}
		if m.value[0] != '"' {
			err = invalid("%s is not a text of names with commas between", m.name)
			return false
		}
		keys, e := SplitKeys(l, text(m.value))
		if err = e; m.name == "clientKeys" {
			client = keys
		} else {
			shared = keys
		}
		return err == nil
	})
	if err != nil {
		return nil, nil, err
	}
	return client, shared, nil
}

// SplitKeys reads names of attributes from lists with commas between, any
// number of them; nil where there is no name at all.
func SplitKeys(l Limits, lists ...string) ([]string, error) {
	l = l.filled()
	var out []string
	for _, list := range lists {
		for key := range strings.SplitSeq(list, ",") {
			if key = strings.TrimSpace(key); key == "" {
				continue
			}
			if len(key) > l.Key {
				return nil, invalid("a key of %d bytes, %d at most", len(key), l.Key)
			}
			if out = append(out, key); len(out) > l.Keys {
				return nil, invalid("more than %d keys", l.Keys)
			}
		}
	}
	return out, nil
}

// ReadRPC reads {"method":…,"params":…}; params is nil where it is absent. The
// result may point into body.
func ReadRPC(body []byte, l Limits) (method string, params []byte, err error) {
	b, err := check(body, l.filled())
	if err != nil {
		return "", nil, err
	}
	if b[0] != '{' {
		return "", nil, invalid("a call is one object")
	}
	members(b, func(m member) bool {
		switch {
		case m.name == "method" && m.value[0] == '"':
			method = text(m.value)
		case m.name == "params":
			params = m.value
		}
		return true
	})
	if method == "" {
		return "", nil, invalid("a call needs a method")
	}
	return method, params, nil
}

// ReadAny reads any JSON value, such as the answer to a call.
func ReadAny(body []byte, l Limits) ([]byte, error) { return check(body, l.filled()) }
