package lwm2mwire

import (
	"errors"
	"fmt"
	"strings"
)

// WebLink is one element of a list of links (RFC 6690).
type WebLink struct {
	Target string            // what stands between the angle brackets
	Attrs  map[string]string // nil where there are none; of a name given twice the first counts
}

// maxLinks bounds the links of one list, and their attributes in sum.
const maxLinks = 2048

var errLinks = errors.New("lwm2m: broken list of links")

// ParseLinks reads a list of links. Nothing is an empty list.
func ParseLinks(b []byte) (out []WebLink, err error) {
	s, left := strings.TrimSpace(string(b)), maxLinks
	for s != "" {
		if left--; left < 0 {
			return nil, fmt.Errorf("%w: more than %d", errLinks, maxLinks)
		}
		target, rest, ok := strings.Cut(s, ">")
		if !ok || !strings.HasPrefix(target, "<") {
			return nil, fmt.Errorf("%w: %.20q", errLinks, s)
		}
		l := WebLink{Target: target[1:]}
		for s = strings.TrimLeft(rest, " \t\r\n"); strings.HasPrefix(s, ";"); {
			if left--; left < 0 {
				return nil, fmt.Errorf("%w: more than %d attributes", errLinks, maxLinks)
			}
			var name, value string
			if name, value, s, err = linkParam(s[1:]); err != nil {
				return nil, err
			}
			if l.Attrs == nil {
				l.Attrs = map[string]string{}
			}
			if _, twice := l.Attrs[name]; !twice {
				l.Attrs[name] = value
			}
			s = strings.TrimLeft(s, " \t\r\n")
		}
		out = append(out, l)
		if s == "" {
			break
		}
		if s[0] != ',' {
			return nil, fmt.Errorf("%w: %.20q", errLinks, s)
		}
		if s = strings.TrimLeft(s[1:], " \t\r\n"); s == "" {
			return nil, fmt.Errorf("%w: it ends with a comma", errLinks)
		}
	}
	return out, nil
}

// linkParam reads name, name=value or name="value".
func linkParam(s string) (name, value, rest string, err error) {
	n := strings.IndexAny(s, "=;,")
	if n < 0 {
		n = len(s)
	}
	name, rest = strings.TrimSpace(s[:n]), s[n:]
	if name == "" {
		return "", "", "", fmt.Errorf("%w: an attribute without a name", errLinks)
	}
	if !strings.HasPrefix(rest, "=") {
		return name, "", rest, nil
	}
	rest = rest[1:]
	if !strings.HasPrefix(rest, `"`) {
		n := strings.IndexAny(rest, ";,")
		if n < 0 {
			n = len(rest)
		}
		return name, strings.TrimSpace(rest[:n]), rest[n:], nil
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			return name, b.String(), rest[i+1:], nil
		case '\\':
			if i++; i == len(rest) {
				return "", "", "", fmt.Errorf("%w: a text without an end", errLinks)
			}
		}
		b.WriteByte(rest[i])
	}
	return "", "", "", fmt.Errorf("%w: a text without an end", errLinks)
}
