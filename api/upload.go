package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

const (
	uploadPath = "/api/packages"
	maxField   = 64 << 10 // bytes of one form field beside the file
	maxFields  = 200      // form fields beside the file
	formSlack  = 1 << 20  // what a form may have around its file
)

var errTooLarge = errors.New("the file is larger than this server takes")

// uploadRoute adds the upload, which stays outside of huma: the bytes go from
// the socket to the blob store and are never held.
func (s *Server) uploadRoute(tags []string) {
	s.mux.HandleFunc("POST "+uploadPath, s.upload)
	text := &huma.Schema{Type: "string"}
	op := &huma.Operation{
		OperationID: "upload-package", Method: http.MethodPost, Path: uploadPath, Tags: tags, Summary: "Upload a package",
		Description: "The body is the file; what is known of it stands in the query. Or the body is a form (multipart/form-data) " +
			"whose fields, with the same names, come before its one part with a file name. Uploading the same again succeeds.",
		Responses: map[string]*huma.Response{},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
		}},
	}
	for _, name := range []string{"title", "version", "profile", "type", "tag", "description", "checksumAlgorithm", "checksum", "fileName"} {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Schema: text})
	}
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "label", In: "query", Description: "NAME=VALUE", Schema: &huma.Schema{Type: "array", Items: text},
	})
	s.describe(op, map[int]string{
		200: "The package was there already", 201: "The package was created", 404: "No such profile", 409: "Another package has this name",
		413: "Larger than this server takes", 422: "Something is wrong with the request",
	})
}

// describe adds an operation that huma does not serve to the document.
func (s *Server) describe(op *huma.Operation, statuses map[int]string) {
	doc := s.api.OpenAPI()
	op.Responses = map[string]*huma.Response{}
	for status, text := range statuses {
		r := &huma.Response{Description: text}
		if status >= 400 {
			r.Content = map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/ErrorModel"}}}
		} else if op.Method == http.MethodPost {
			r.Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/Package"}}}
		} else {
			r.Content = map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
		}
		op.Responses[fmt.Sprint(status)] = r
	}
	doc.AddOperation(op)
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		s.refuse(w, r, ota.Errorf(ota.Busy, "upload", "%d uploads are under way, which is as many as this server takes", cap(s.uploads)))
		return
	}
	r.Body = moving(w, r.Body, s.Limits.Idle)
	p, made, err := s.receive(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	v, err := s.names().viewPackage(r.Context(), p)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	writeJSON(w, status, v)
}

// receive reads what is known of the file, refuses what can be refused by that
// alone, and then takes the bytes.
func (s *Server) receive(r *http.Request) (*ota.Package, bool, error) {
	f, err := openUpload(r)
	if err != nil {
		return nil, false, err
	}
	limit := s.Limits.Upload
	if n := r.ContentLength; n > limit+formSlack || n > limit && f.form == nil {
		return nil, false, tooLarge(limit)
	}
	p, err := s.describedBy(r.Context(), f)
	if err != nil {
		return nil, false, err
	}
	if old, err := s.named(r.Context(), p.Version); err != nil {
		return nil, false, err
	} else if old != nil {
		same := *p // so far as is known without the bytes
		same.Blob, same.Size, same.Checksum = old.Blob, old.Size, old.Checksum
		if err := taken(old, &same); err != nil {
			return nil, false, err
		}
	}
	return s.take(r.Context(), p, f)
}

// describedBy makes the package of what the form or the query says.
func (s *Server) describedBy(ctx context.Context, f *uploaded) (*ota.Package, error) {
	m, fileName, err := metaOf(f.values)
	if err != nil {
		return nil, err
	}
	p, err := s.newPackage(ctx, "query", m)
	if err != nil {
		return nil, err
	}
	if p.Algorithm == "" {
		p.Algorithm = ota.SHA256
	}
	if fileName == "" {
		fileName = f.name
	}
	p.FileName, p.ContentType = path.Base(strings.ReplaceAll("/"+fileName, `\`, "/")), f.contentType
	if p.FileName == "/" {
		p.FileName = ""
	}
	return p, inField("query", p.Check())
}

// take stores the bytes and then the package; where anything fails, neither.
func (s *Server) take(ctx context.Context, p *ota.Package, f *uploaded) (*ota.Package, bool, error) {
	claimed := p.Checksum
	info, err := s.Blobs.Put(ctx, &bounded{r: f.file, left: s.Limits.Upload}, p.Algorithm, 0)
	if err != nil {
		return nil, false, s.readFailed(err)
	}
	release := s.blobs.hold(info.Digest)
	p.Blob, p.Size, p.Checksum = info.Digest, info.Size, info.Checksum
	stored, made, err := s.keep(ctx, p, claimed, f)
	release()
	if err != nil {
		// The asker may have gone; what he left must go all the same.
		bg, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if e := s.letGo(bg, info.Digest); e != nil {
			s.Log.WarnContext(bg, "bytes of a refused upload stay behind", "digest", info.Digest, "error", e)
		}
	}
	return stored, made, err
}

// keep judges what was read, and stores the package.
func (s *Server) keep(ctx context.Context, p *ota.Package, claimed string, f *uploaded) (*ota.Package, bool, error) {
	switch {
	case p.Size == 0:
		return nil, false, invalid("body", "the file is empty")
	case claimed != "" && claimed != p.Checksum:
		return nil, false, invalid("query.checksum", "the %s of what arrived is %s, not %s", p.Algorithm, p.Checksum, claimed)
	}
	if err := f.end(); err != nil {
		return nil, false, err
	}
	// It may have been deleted with another package since it was written.
	b, err := s.Blobs.Open(ctx, p.Blob)
	if err != nil {
		return nil, false, &ota.Error{Code: ota.Busy, Op: "upload", Err: err}
	}
	if err := b.Close(); err != nil {
		return nil, false, err
	}
	return s.store(ctx, p)
}

func tooLarge(limit int64) error {
	return &statusError{http.StatusRequestEntityTooLarge, ota.Errorf(ota.Invalid, "upload", "%w: %d bytes at most", errTooLarge, limit)}
}

// readFailed finds out whose fault it is that the bytes could not be stored.
func (s *Server) readFailed(err error) error {
	var broken *brokenBody
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge(s.Limits.Upload)
	case errors.As(err, &broken):
		return &statusError{http.StatusBadRequest, ota.Errorf(ota.Invalid, "upload", "the file broke off: %w", broken)}
	}
	return err
}

// bounded reads at most left bytes and fails beyond; it marks failures of the
// reader as such, to tell them from those of the store.
type bounded struct {
	r    io.Reader
	left int64
}

type brokenBody struct{ err error }

func (b *brokenBody) Error() string { return b.err.Error() }
func (b *brokenBody) Unwrap() error { return b.err }

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errTooLarge
	}
	if err != nil && err != io.EOF {
		err = &brokenBody{err}
	}
	return n, err
}

// uploaded is a file that is about to be read, and what came before it.
type uploaded struct {
	values      url.Values
	name        string
	contentType string
	file        io.Reader
	form        *multipart.Reader // nil: the body is the file
}

func openUpload(r *http.Request) (*uploaded, error) {
	f := &uploaded{values: r.URL.Query(), file: r.Body, contentType: "application/octet-stream"}
	t, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && t == "multipart/form-data" {
		if params["boundary"] == "" {
			return nil, &statusError{http.StatusBadRequest, ota.Errorf(ota.Invalid, "upload", "the form has no boundary")}
		}
		f.form = multipart.NewReader(r.Body, params["boundary"])
		return f, f.toFile()
	}
	// curl calls any body a form unless it is told otherwise.
	if err == nil && t != "application/x-www-form-urlencoded" {
		f.contentType = r.Header.Get("Content-Type")
	}
	return f, nil
}

// toFile reads the fields of the form, up to the file.
func (f *uploaded) toFile() error {
	for range maxFields {
		part, err := f.form.NextPart()
		if err == io.EOF { //nolint:errorlint // documented so
			return invalid("body", "the form holds no file")
		}
		if err != nil {
			return &statusError{http.StatusBadRequest, ota.Errorf(ota.Invalid, "upload", "the form cannot be read: %w", err)}
		}
		if part.FileName() != "" {
			f.file, f.name = part, part.FileName()
			if t := part.Header.Get("Content-Type"); t != "" {
				f.contentType = t
			}
			return nil
		}
		value, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err != nil || len(value) > maxField {
			return invalid("body."+part.FormName(), "this field cannot be read, or is longer than %d bytes", maxField)
		}
		f.values.Add(part.FormName(), string(value))
	}
	return invalid("body", "the form has more than %d fields before its file", maxFields)
}

// end says whether anything stands behind the file.
func (f *uploaded) end() error {
	if f.form == nil {
		return nil
	}
	part, err := f.form.NextPart()
	switch {
	case err == io.EOF:
		return nil
	case err != nil:
		return &statusError{http.StatusBadRequest, ota.Errorf(ota.Invalid, "upload", "the form broke off: %w", err)}
	}
	return invalid("body."+part.FormName(), "a field stands behind the file; put it before")
}

// metaOf reads the values of a form or a query; one that is not known is refused.
func metaOf(values url.Values) (m PackageMeta, fileName string, err error) {
	fields := map[string]*string{
		"title": &m.Title, "version": &m.Version, "profile": &m.Profile, "type": &m.Type, "tag": &m.Tag, "description": &m.Description,
		"checksumAlgorithm": &m.ChecksumAlgorithm, "checksum": &m.Checksum, "fileName": &fileName,
	}
	for name, all := range values {
		if name == "label" {
			m.Labels = map[string]string{}
			for _, l := range all {
				k, v, ok := strings.Cut(l, "=")
				if !ok {
					return m, "", invalid("query.label", "%q is no NAME=VALUE", l)
				}
				m.Labels[k] = v
			}
			continue
		}
		field, known := fields[name]
		if !known {
			return m, "", invalid("query."+name, "there is no such field")
		}
		if len(all) > 1 {
			return m, "", invalid("query."+name, "is given %d times", len(all))
		}
		*field = strings.TrimSpace(all[0])
	}
	if m.Profile == "" {
		return m, "", invalid("query.profile", "a device profile is required")
	}
	return m, fileName, nil
}

// blobGuard keeps bytes from being deleted between the end of their upload and
// the moment at which a package holds them.
type blobGuard struct {
	mu   sync.Mutex
	held map[string]int
}

// hold keeps the bytes until the returned function is called, once.
func (g *blobGuard) hold(digest string) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = map[string]int{}
	}
	g.held[digest]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.held[digest]--; g.held[digest] == 0 {
			delete(g.held, digest)
		}
	}
}

// delete calls do unless the bytes are held; whoever holds them decides later.
func (g *blobGuard) delete(digest string, do func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held[digest] > 0 {
		return nil
	}
	return do()
}
