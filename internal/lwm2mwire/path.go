package lwm2mwire

import (
	"fmt"
	"strconv"
	"strings"
)

// Path names an object, an instance, a resource or an instance of a resource:
// as many numbers as Depth says. The zero Path is the root.
type Path struct {
	ID    [4]uint16
	Depth int
}

// P makes a path of up to four numbers; more are left out.
func P(ids ...uint16) Path {
	p := Path{Depth: min(len(ids), 4)}
	copy(p.ID[:], ids)
	return p
}

// ParsePath reads "/5/0/3"; the slash in front may be missing, one at the end
// counts for nothing.
func ParsePath(s string) (Path, error) {
	var p Path
	s = strings.TrimSuffix(strings.TrimPrefix(s, "/"), "/")
	if s == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(s, "/") {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || p.Depth == len(p.ID) || n == 65535 { // 65535 is reserved
			return Path{}, fmt.Errorf("lwm2m: %.40q is no path of an object", s)
		}
		p.ID[p.Depth] = uint16(n)
		p.Depth++
	}
	return p, nil
}

// String writes the path as it stands in a URI: "/5/0/3", "/" for the root.
func (p Path) String() string {
	if p.Depth == 0 {
		return "/"
	}
	var b strings.Builder
	for _, id := range p.ID[:p.Depth] {
		b.WriteByte('/')
		b.WriteString(strconv.Itoa(int(id)))
	}
	return b.String()
}

// Below returns p with numbers behind it.
func (p Path) Below(ids ...uint16) Path {
	for _, id := range ids {
		if p.Depth < len(p.ID) {
			p.ID[p.Depth] = id
			p.Depth++
		}
	}
	return p
}

// Upper returns the first n numbers of p.
func (p Path) Upper(n int) Path {
	q := Path{Depth: min(n, p.Depth)}
	copy(q.ID[:q.Depth], p.ID[:q.Depth])
	return q
}

// Holds says whether q is p or lies below it.
func (p Path) Holds(q Path) bool { return q.Depth >= p.Depth && q.Upper(p.Depth) == p.Upper(p.Depth) }

// relative writes what q has behind base: "0/3", or "" where it is base.
func relative(base, q Path) string {
	rest := Path{}
	for _, id := range q.ID[base.Depth:q.Depth] {
		rest = rest.Below(id)
	}
	return strings.TrimPrefix(rest.String(), "/")
}

// joined reads the name of an entry: a base name and what is added to it, or,
// where neither is given, the path that was asked for.
func joined(base Path, bn, n string) (Path, error) {
	name := bn + n
	if name == "" {
		return base, nil
	}
	if !strings.HasPrefix(name, "/") { // relative to what was asked for
		name = strings.TrimSuffix(base.String(), "/") + "/" + name
	}
	return ParsePath(name)
}
