package ota

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Attr is one attribute as JSON: its name and its value.
type Attr struct {
	Name string
	JSON string
}

// OfferAttributes are the shared attributes that tell a device of pkg, in the
// order in which ThingsBoard writes them: title, version, tag, url, size,
// checksum_algorithm, checksum. Those that do not apply are left out. All are
// JSON text, save the size, which is an integer.
func OfferAttributes(pkg *Package) []Attr {
	p := pkg.Kind.Prefix() + "_"
	out := []Attr{{p + "title", quote(pkg.Title)}, {p + "version", quote(pkg.Version.Version)}}
	if pkg.Tag != "" {
		out = append(out, Attr{p + "tag", quote(pkg.Tag)})
	}
	if pkg.URL != "" {
		out = append(out, Attr{p + "url", quote(pkg.URL)})
	}
	if pkg.Blob != "" || pkg.Size > 0 {
		out = append(out, Attr{p + "size", strconv.FormatInt(pkg.Size, 10)})
	}
	if pkg.Checksum != "" {
		out = append(out, Attr{p + "checksum_algorithm", quote(string(pkg.Algorithm))}, Attr{p + "checksum", quote(pkg.Checksum)})
	}
	return out
}

// offerSuffixes are all attribute names of an offer, in the order in which
// ThingsBoard deletes them.
var offerSuffixes = []string{"title", "version", "ts", "state", "size", "checksum", "checksum_algorithm", "url", "tag"}

// OfferNames lists the nine shared attributes that belong to offers of k; they
// are the server's and nobody sets them by hand.
func OfferNames(k Kind) []string {
	out := make([]string, len(offerSuffixes))
	for i, s := range offerSuffixes {
		out[i] = k.Prefix() + "_" + s
	}
	return out
}

// IsOfferName says whether a shared attribute belongs to an offer of any kind.
func IsOfferName(name string) bool {
	return len(name) > 3 && (name[:3] == "fw_" || name[:3] == "sw_") && slices.Contains(offerSuffixes, name[3:])
}

// Object joins attributes into a JSON object, in their order.
func Object(attrs []Attr) []byte {
	out := []byte{'{'}
	for i, a := range attrs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, quote(a.Name)...)
		out = append(out, ':')
		out = append(out, a.JSON...)
	}
	return append(out, '}')
}

// quote writes s as JSON. An & stays an &, since small devices copy a URL out of
// the text as it stands.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // cannot happen with a string
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}
