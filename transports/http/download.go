package http

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// wanted is what a download's query says.
type wanted struct {
	title, version string
	size, chunk    int64
}

// readWanted reads the query of a download. Of a member given twice the first
// counts, as in most servers. problem is "" where all is well.
func readWanted(query string) (q wanted, problem string) {
	var seen [4]bool
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		at := -1
		for i, name := range [...]string{"title", "version", "size", "chunk"} {
			if key == name {
				at = i
			}
		}
		if at < 0 || seen[at] {
			continue
		}
		seen[at] = true
		value, err := unescape(value)
		if err == nil {
			switch at {
			case 0:
				q.title = value
			case 1:
				q.version = value
			case 2:
				q.size, err = strconv.ParseInt(value, 10, 64)
			case 3:
				q.chunk, err = strconv.ParseInt(value, 10, 64)
			}
		}
		if err != nil {
			return wanted{}, key + " cannot be read: want text for title and version, a whole number for size and chunk"
		}
	}
	if q.title == "" || q.version == "" {
		return wanted{}, "title and version are required"
	}
	return q, ""
}

func unescape(s string) (string, error) {
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	return url.QueryUnescape(s)
}

// download answers with a piece of a package: the one that size and chunk name,
// or the one that a Range header names, or all of it.
func (t *Transport) download(x *exchange, k ota.Kind) {
	q, problem := readWanted(x.r.URL.RawQuery)
	if problem != "" {
		x.answer(http.StatusBadRequest, problem)
		return
	}
	m := x.message(ota.ChunkRequested)
	m.Kind, m.Want, m.Size, m.Chunk = k, ota.Version{Title: q.title, Version: q.version}, q.size, q.chunk
	var part span
	ranged := false
	if h := x.r.Header["Range"]; h != nil && q.size < 1 { // a chunk is a thing of its own, and small
		part, ranged = parseRange(h[0])
	}
	if ranged && part.tail == 0 && x.r.Header["If-Range"] == nil {
		m.Range = &ota.Range{Off: part.off, Len: part.len}
	}
	replies, ok := x.handle(m)
	if !ok {
		return
	}
	for i := range replies {
		if replies[i].Word == ota.SayChunk && replies[i].Section.Package != nil {
			t.sendSection(x, replies[i].Section, part, ranged)
			return
		}
	}
	x.answer(http.StatusNotFound, "")
}

// sendSection writes headers and bytes; what a client holds already is not
// sent again.
func (t *Transport) sendSection(x *exchange, s ota.Section, part span, ranged bool) {
	p := s.Package
	f := t.faces.get(p)
	h, req := x.w.Header(), x.r.Header
	h["Etag"], h["Accept-Ranges"] = f.etag, f.all
	if v := req["If-None-Match"]; v != nil && matches(strings.Join(v, ","), f.tag) {
		x.w.WriteHeader(http.StatusNotModified)
		return
	}
	if v := req["If-Range"]; ranged && v != nil && v[0] != f.tag {
		ranged = false // it has another file: all of it then
		s = ota.Section{Package: p, Len: p.Size}
	}
	code := http.StatusOK
	if ranged {
		if s = part.of(p); s.Len == 0 {
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(p.Size, 10))
			x.answer(http.StatusRequestedRangeNotSatisfiable, "")
			return
		}
		code = http.StatusPartialContent
		b := append(make([]byte, 0, 64), "bytes "...)
		b = append(strconv.AppendInt(b, s.Off, 10), '-')
		b = append(strconv.AppendInt(b, s.Off+s.Len-1, 10), '/')
		h["Content-Range"] = []string{string(strconv.AppendInt(b, p.Size, 10))}
	}
	blob, err := t.open(x, s)
	if err != nil {
		h.Del("Etag")
		h.Del("Accept-Ranges")
		h.Del("Content-Range")
		x.fail(err)
		return
	}
	if blob != nil {
		defer blob.Close()
	}
	h["Content-Disposition"], h["X-Filename"], h["Content-Type"] = f.disposition, f.name, f.mediaType
	h["Content-Length"] = []string{strconv.FormatInt(s.Len, 10)}
	x.w.WriteHeader(code)
	if blob != nil {
		copyOut(x.w, x.r, blob, s)
	}
}

// open opens the bytes of a section before anything is promised; nil where
// none are sent.
func (t *Transport) open(x *exchange, s ota.Section) (ota.Blob, error) {
	if s.Len == 0 || x.r.Method == http.MethodHead {
		return nil, nil
	}
	const op = "send package"
	blob, err := t.d.Blobs.Open(x.r.Context(), s.Package.Blob)
	if ota.CodeOf(err) == ota.NotFound { // the package is there, so the loss is ours
		return nil, &ota.Error{Code: ota.Internal, Op: op, Err: err}
	}
	if err != nil {
		return nil, err
	}
	if blob.Size() < s.Off+s.Len {
		blob.Close() //nolint:errcheck // it was only opened
		return nil, ota.Errorf(ota.Internal, op, "the file has %d bytes, the package %d", blob.Size(), s.Package.Size)
	}
	return blob, nil
}
