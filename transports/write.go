package transports

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/ota"
)

// AttributesBody writes the answer to a request for attributes:
// {"client":{…},"shared":{…}}, a member absent where it has no attributes.
func AttributesBody(r ota.Reply) []byte {
	out := make([]byte, 0, len(r.Client)+len(r.Shared)+24)
	out = append(out, '{')
	if !emptyObject(r.Client) {
		out = append(append(out, `"client":`...), r.Client...)
	}
	if !emptyObject(r.Shared) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, `"shared":`...), r.Shared...)
	}
	return append(out, '}')
}

// PushBody writes a push of shared attributes: {"key":value,…} and, where some
// are gone, "deleted":["key",…] behind them. ok is false where the word is not
// one that ThingsBoard says that way, or says nothing.
func PushBody(r ota.Reply) (body []byte, ok bool) {
	if !IsAttributes(r.Word) || emptyObject(r.Shared) && len(r.Deleted) == 0 {
		return nil, false
	}
	if len(r.Deleted) == 0 {
		return r.Shared, true
	}
	out := []byte{'{'}
	if !emptyObject(r.Shared) {
		out = append(trimObject(r.Shared), ',')
	}
	out = append(out, `"deleted":`...)
	names, err := json.Marshal(r.Deleted)
	if err != nil { // cannot happen with strings
		return nil, false
	}
	return append(append(out, names...), '}'), true
}

// MergePushes writes all that words push in one body, as it stands after the
// last of them, for a wire that can say one thing. ok is false where they push
// nothing.
func MergePushes(words []ota.Reply) (body []byte, ok bool) {
	if len(words) == 1 {
		return PushBody(words[0])
	}
	var set []member
	var gone []string
	for _, w := range words {
		if !IsAttributes(w.Word) {
			continue
		}
		for _, name := range w.Deleted {
			set = slices.DeleteFunc(set, func(m member) bool { return m.name == name })
			if !slices.Contains(gone, name) {
				gone = append(gone, name)
			}
		}
		shared := bytes.TrimSpace(w.Shared)
		if emptyObject(shared) || !gjson.ValidBytes(shared) {
			continue
		}
		members(shared, func(m member) bool {
			gone = slices.DeleteFunc(gone, func(name string) bool { return name == m.name })
			set = append(slices.DeleteFunc(set, func(s member) bool { return s.name == m.name }), m)
			return true
		})
	}
	shared, err := object(set)
	if err != nil {
		return nil, false
	}
	return PushBody(ota.Reply{Word: ota.SayAttributes, Shared: shared, Deleted: gone})
}

// RPCBody writes a call of a device's method: {"method":…,"params":…}.
func RPCBody(r ota.Reply) []byte {
	name, err := json.Marshal(r.Method)
	if err != nil { // cannot happen with a string
		name = []byte(`""`)
	}
	out := append([]byte(`{"method":`), name...)
	out = append(out, `,"params":`...)
	if len(r.Body) == 0 {
		out = append(out, "{}"...)
	} else {
		out = append(out, r.Body...)
	}
	return append(out, '}')
}

// emptyObject says whether b, nothing or a JSON object, has no members.
func emptyObject(b []byte) bool {
	for _, c := range b {
		if c != '{' && c != '}' && !isSpace(c) {
			return false
		}
	}
	return true
}

// trimObject returns a copy of the object b without its closing brace.
func trimObject(b []byte) []byte {
	end := len(b)
	for end > 0 && b[end-1] != '}' {
		end--
	}
	return append(make([]byte, 0, len(b)+64), b[:max(end-1, 0)]...)
}
