package ota

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Kind says what a package is for; a device follows one package of each kind.
type Kind string

// The kinds, in ThingsBoard's order.
const (
	Firmware Kind = "firmware"
	Software Kind = "software"
)

// Kinds lists both kinds.
func Kinds() [2]Kind { return [2]Kind{Firmware, Software} }

// Valid says whether k is one of the two kinds.
func (k Kind) Valid() bool { return k == Firmware || k == Software }

// Prefix is what the names of the kind's attributes and telemetry begin with:
// "fw" or "sw" (ThingsBoard device API).
func (k Kind) Prefix() string {
	if k == Software {
		return "sw"
	}
	return "fw"
}

// Version names a build: what it is called and which one it is. Both are opaque
// text, compared as they are. Tag is what an operator says the device will
// report, or "".
type Version struct{ Title, Version, Tag string }

// Is says whether v and o name the same build; tags do not count.
func (v Version) Is(o Version) bool { return v.Title == o.Title && v.Version == o.Version }

// Zero says whether nothing is named.
func (v Version) Zero() bool { return v.Title == "" && v.Version == "" }

// String is "title@version".
func (v Version) String() string {
	if v.Zero() {
		return ""
	}
	return v.Title + "@" + v.Version
}

// Package is one build of firmware or software. Apart from Description, Labels
// and Quarantine nothing of it ever changes.
type Package struct {
	ID      PackageID
	Tenant  TenantID
	Profile ProfileID // the device profile that it is made for
	Kind    Kind
	Version // title, version and tag

	URL string // set: the device fetches it there itself, Blob is ""

	Blob        string // digest under which the bytes lie: lower-case hex of SHA-256
	Size        int64  // bytes; of a URL package 0 when unknown
	Algorithm   ChecksumAlgorithm
	Checksum    string // lower-case hex as the algorithm writes it
	FileName    string
	ContentType string

	Description string
	Labels      map[string]string
	Created     time.Time
	Ready       bool   // the run of package_added ended well: assignable
	Quarantine  string // why nobody may assign it; "" when they may
}

// HasData says whether a device can get the package from anywhere.
func (p *Package) HasData() bool { return p.Blob != "" || p.URL != "" }

// Section is a piece of a package's bytes. Transports move them; nothing else
// holds them.
type Section struct {
	Package *Package
	Off     int64 // bytes from the start
	Len     int64 // bytes; 0 past the end
}

// Range is the piece that a device asks for: Len bytes from Off, or everything
// where Len is 0.
type Range struct{ Off, Len int64 }

// ChunkRange is piece number chunk of size bytes, counted from 0 (ThingsBoard
// device API: size below 1 means the whole file and chunk is ignored). It is
// computed in 64 bits; a product that does not fit lies past every end.
func ChunkRange(size, chunk int64) Range {
	if size < 1 {
		return Range{}
	}
	if chunk < 0 || chunk > (1<<62)/size {
		return Range{Off: 1 << 62, Len: size}
	}
	return Range{Off: size * chunk, Len: size}
}

// Section clips r to the package: the last piece is short, one past the end is
// empty.
func (p *Package) Section(r Range) Section {
	switch {
	case r.Len == 0 && r.Off == 0:
		return Section{p, 0, p.Size}
	case r.Off < 0 || r.Len < 0 || r.Off >= p.Size:
		return Section{p, p.Size, 0}
	case r.Len == 0 || r.Len > p.Size-r.Off:
		return Section{p, r.Off, p.Size - r.Off}
	}
	return Section{p, r.Off, r.Len}
}

// Limits of a package's fields, in characters (ThingsBoard data model).
const (
	MaxTitle    = 255
	MaxChecksum = 1020
)

// Check says what is wrong with a package that is about to be created, or nil.
func (p *Package) Check() error {
	const op = "package"
	for _, f := range [...]struct {
		name, value string
		must        bool
	}{{"title", p.Title, true}, {"version", p.Version.Version, true}, {"tag", p.Tag, false}, {"url", p.URL, false},
		{"file name", p.FileName, false}, {"content type", p.ContentType, false}} {
		if err := checkText(f.name, f.value, f.must); err != nil {
			return &Error{Invalid, op, err}
		}
	}
	switch {
	case p.Profile == "":
		return Errorf(Invalid, op, "a device profile is required")
	case !p.Kind.Valid():
		return Errorf(Invalid, op, "kind is %q, want firmware or software", p.Kind)
	case p.URL != "" && p.Blob != "":
		return Errorf(Invalid, op, "has both a URL and data; choose one")
	case p.Size < 0:
		return Errorf(Invalid, op, "size is %d, want 0 or more", p.Size)
	case len(p.Checksum) > MaxChecksum:
		return Errorf(Invalid, op, "checksum is longer than %d characters", MaxChecksum)
	case p.Checksum != "" && p.Algorithm == "":
		return Errorf(Invalid, op, "a checksum needs its algorithm")
	case p.Algorithm != "" && !p.Algorithm.Valid():
		return Errorf(Invalid, op, "checksum algorithm is %q, want one of %s", p.Algorithm, algorithmNames())
	case len(p.Labels) > 64:
		return Errorf(Invalid, op, "has %d labels, 64 at most", len(p.Labels))
	}
	return nil
}

// CheckChange says whether new may take the place of old: everything but
// description, labels, quarantine and readiness is fixed at creation.
func CheckChange(old, new *Package) error {
	fixed := func(p *Package) Package {
		c := *p
		c.Description, c.Labels, c.Quarantine, c.Ready = "", nil, "", false
		return c
	}
	a, b := fixed(old), fixed(new)
	for _, f := range [...]struct{ name, old, new string }{
		{"kind", string(a.Kind), string(b.Kind)}, {"title", a.Title, b.Title}, {"version", a.Version.Version, b.Version.Version},
		{"tag", a.Tag, b.Tag}, {"device profile", string(a.Profile), string(b.Profile)}, {"url", a.URL, b.URL},
		{"file name", a.FileName, b.FileName}, {"content type", a.ContentType, b.ContentType},
		{"checksum algorithm", string(a.Algorithm), string(b.Algorithm)}, {"checksum", a.Checksum, b.Checksum}, {"data", a.Blob, b.Blob},
	} {
		if f.old != f.new {
			return Errorf(Invalid, "package "+old.Version.String(), "%s cannot change from %q to %q; create another version instead", f.name, f.old, f.new)
		}
	}
	if a.Size != b.Size {
		return Errorf(Invalid, "package "+old.Version.String(), "size cannot change from %d to %d", a.Size, b.Size)
	}
	return nil
}

func checkText(name, v string, must bool) error {
	switch {
	case must && strings.TrimSpace(v) == "":
		return Errorf(Invalid, "", "%s is required", name)
	case !utf8.ValidString(v):
		return Errorf(Invalid, "", "%s is not UTF-8", name)
	case utf8.RuneCountInString(v) > MaxTitle:
		return Errorf(Invalid, "", "%s is longer than %d characters", name, MaxTitle)
	case strings.IndexFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
		return Errorf(Invalid, "", "%s has control characters", name)
	case strings.ContainsAny(v, "<>"):
		return Errorf(Invalid, "", "%s has markup (< or >)", name)
	}
	return nil
}

// CheckName says what is wrong with the name of a device, profile or group.
func CheckName(what, name string) error {
	if err := checkText(what+" name", name, true); err != nil {
		return &Error{Invalid, "name", err}
	}
	return nil
}
