package http

import (
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// span is one byte range of a Range header (RFC 9110, section 14).
type span struct {
	off  int64 // from the start; or, where tail is set, nothing
	len  int64 // 0: to the end
	tail int64 // the last so many bytes
}

// parseRange reads a Range header. ok is false where there is none, where it is
// not understood, or where it asks for several ranges at once: all of these are
// answered with the whole, as RFC 9110 has it.
func parseRange(h string) (s span, ok bool) {
	spec, ok := strings.CutPrefix(h, "bytes=")
	if !ok {
		return span{}, false
	}
	first, last, ok := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !ok {
		return span{}, false
	}
	if first == "" {
		tail, ok := digits(last)
		return span{tail: tail}, ok && tail > 0
	}
	if s.off, ok = digits(first); !ok {
		return span{}, false
	}
	if last == "" {
		return s, true
	}
	end, ok := digits(last)
	if !ok || end < s.off {
		return span{}, false
	}
	if end-s.off < 1<<62 { // else it is all that there is
		s.len = end - s.off + 1
	}
	return s, true
}

// digits reads a number without sign; one beyond 64 bits is as large as can be.
func digits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil || n > 0 // ParseInt gives the greatest number for one that is out of range
}

// of clips the span to a package; Len is 0 where it lies outside.
func (s span) of(p *ota.Package) ota.Section {
	if s.tail > 0 {
		n := min(s.tail, p.Size)
		return ota.Section{Package: p, Off: p.Size - n, Len: n}
	}
	if s.off >= p.Size {
		return ota.Section{Package: p, Off: p.Size}
	}
	n := p.Size - s.off
	if s.len > 0 {
		n = min(n, s.len)
	}
	return ota.Section{Package: p, Off: s.off, Len: n}
}

// matches says whether an If-None-Match header names the tag; weak ones count.
func matches(header, tag string) bool {
	if header == "" {
		return false
	}
	for one := range strings.SplitSeq(header, ",") {
		one = strings.Trim(one, " \t")
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
