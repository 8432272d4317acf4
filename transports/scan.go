package transports

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/ota"
)

// Limits bound what a JSON body may hold, so that a small message cannot make
// large work. A zero member means its default.
type Limits struct {
	Depth int // brackets within each other
	Keys  int // members of all objects that are kept by key, and elements of a list of telemetry
	Key   int // bytes of a key
}

// The defaults of [Limits].
const (
	DefaultDepth = 32
	DefaultKeys  = 10_000
	DefaultKey   = 255
)

func (l Limits) filled() Limits {
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	if l.Keys <= 0 {
		l.Keys = DefaultKeys
	}
	if l.Key <= 0 {
		l.Key = DefaultKey
	}
	return l
}

const opParse = "parse JSON"

func invalid(format string, args ...any) error {
	return ota.Errorf(ota.Invalid, opParse, format, args...)
}

// check proves body to be one JSON value no deeper than the limit, and returns
// it without the space around it. The depth comes first, since the validator
// recurses. Bytes that are not UTF-8 are replaced.
func check(body []byte, l Limits) ([]byte, error) {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > l.Depth {
				return nil, invalid("more than %d brackets within each other", l.Depth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	if !gjson.ValidBytes(body) {
		return nil, invalid("not valid JSON")
	}
	return bytes.Trim(body, " \t\r\n"), nil
}

// member is one member of an object: its name, and its value as it was written.
type member struct {
	name  string
	value []byte
}

// members walks over the members of the object b, or the elements of the array
// b (without names), which [check] has seen. It ends early where f is false.
func members(b []byte, f func(m member) bool) {
	isObject := b[0] == '{'
	for i := skip(b, 1); b[i] != '}' && b[i] != ']'; {
		var m member
		if isObject {
			end := valueEnd(b, i)
			m.name = text(b[i:end])
			i = skip(b, skip(b, end)+1) // behind the colon
		}
		end := valueEnd(b, i)
		m.value = b[i:end:end]
		if !f(m) {
			return
		}
		if i = skip(b, end); b[i] == ',' {
			i = skip(b, i+1)
		}
	}
}

// valueEnd returns where the value that begins at i ends.
func valueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		for i++; b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
		}
		return i + 1
	case '{', '[':
		depth := 0
		for ; ; i++ {
			switch b[i] {
			case '"':
				i = valueEnd(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && !isSpace(b[i]) {
		i++
	}
	return i
}

func skip(b []byte, i int) int {
	for isSpace(b[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// text reads a JSON string.
func text(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil { // cannot happen behind check
		return string(quoted[1 : len(quoted)-1])
	}
	return s
}
