package http

import (
	"mime"
	"strings"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// face is what the headers of a reply say about a package, as header values
// that all replies share.
type face struct {
	blob, fileName, contentType string // made from these

	tag                                     string
	etag, disposition, name, mediaType, all []string
}

// faces keeps the faces of packages that are being fetched.
type faces struct {
	mu sync.RWMutex
	of map[ota.PackageID]*face
}

const maxFaces = 1024

func (f *faces) get(p *ota.Package) *face {
	f.mu.RLock()
	v := f.of[p.ID]
	f.mu.RUnlock()
	if v != nil && v.blob == p.Blob && v.fileName == p.FileName && v.contentType == p.ContentType {
		return v
	}
	v = newFace(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil || len(f.of) >= maxFaces {
		f.of = map[ota.PackageID]*face{}
	}
	f.of[p.ID] = v
	return v
}

func newFace(p *ota.Package) *face {
	v := &face{blob: p.Blob, fileName: p.FileName, contentType: p.ContentType, tag: `"` + p.Kind.Prefix() + "-" + p.Blob + `"`}
	media := "application/octet-stream"
	if _, _, err := mime.ParseMediaType(p.ContentType); err == nil && visible(p.ContentType) {
		media = p.ContentType
	}
	disposition, name := fileHeaders(p.FileName)
	v.etag, v.mediaType, v.all = []string{v.tag}, []string{media}, []string{"bytes"}
	v.disposition, v.name = []string{disposition}, []string{name}
	return v
}

// fileHeaders are Content-Disposition and x-filename. ThingsBoard writes the
// name as it is, and clients split at the equals sign, so a name that is a plain
// word stays so. Any other is encoded (RFC 6266, RFC 8187): it can neither end
// the header nor name a folder.
func fileHeaders(name string) (disposition, plain string) {
	if isToken(name) {
		return "attachment;filename=" + name, name
	}
	const hex = "0123456789ABCDEF"
	var ascii, percent strings.Builder
	for i := range len(name) {
		c := name[i]
		if isTokenByte(c) && c != '%' && c != '\'' && c != '*' {
			percent.WriteByte(c)
		} else {
			percent.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	for _, r := range name {
		if r == ' ' || r < 0x7f && isTokenByte(byte(r)) {
			ascii.WriteRune(r)
		} else {
			ascii.WriteByte('_')
		}
	}
	short := strings.TrimLeft(ascii.String(), ".")
	if name == "" || short == "" {
		short = "package"
	}
	return `attachment;filename="` + short + `";filename*=UTF-8''` + percent.String(), percent.String()
}

// isToken says whether name is a token (RFC 9110) that names no folder.
func isToken(name string) bool {
	for i := range len(name) {
		if !isTokenByte(name[i]) {
			return false
		}
	}
	return name != "" && strings.Trim(name, ".") != ""
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func visible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
