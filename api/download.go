package api

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// downloadRoute adds the download, which stays outside of huma: ranges and
// conditions are net/http's.
func (s *Server) downloadRoute(tags []string) {
	s.mux.HandleFunc("POST "+answerPath+"{tenant}/{approval}/{answer}/{signature}", s.answered)
	s.mux.HandleFunc("GET "+linkPath+"{tenant}/{package}/{end}/{signature}", s.linked)
	const path = "/api/packages/{package}/content"
	s.mux.HandleFunc("GET "+path, s.download)
	s.describe(&huma.Operation{
		OperationID: "download-package", Method: http.MethodGet, Path: path, Tags: tags, Summary: "Download the bytes of a package",
		Description: "Takes Range, If-Range and If-None-Match; the ETag is the SHA-256 of the bytes.",
		Parameters: []*huma.Param{{
			Name: "package", In: "path", Required: true, Description: "TITLE@VERSION, URL-encoded, or id", Schema: &huma.Schema{Type: "string"},
		}},
	}, map[int]string{200: "The file", 206: "The range asked for", 404: "No such package", 409: "Its bytes lie elsewhere", 416: "No such range"})
}

func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	h, err := s.find(r.Context(), ota.PackageRef, r.PathValue("package"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.sendFile(w, r, h.Package)
}

// sendFile sends the bytes of a package, or the part of them that is asked for.
func (s *Server) sendFile(w http.ResponseWriter, r *http.Request, p *ota.Package) {
	if p.Blob == "" {
		s.refuse(w, r, ota.Errorf(ota.Conflict, "download "+p.Version.String(), "its bytes lie at %s", p.URL))
		return
	}
	b, err := s.Blobs.Open(r.Context(), p.Blob)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer b.Close()
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream") // whatever the uploader called it, no browser shall run it
	header.Set("Content-Disposition", disposition(p))
	header.Set("ETag", `"`+p.Blob+`"`)
	header.Set("X-Checksum-Algorithm", string(p.Algorithm))
	header.Set("X-Checksum", p.Checksum)
	out := &movingWriter{ResponseWriter: w, c: http.NewResponseController(w), idle: s.Limits.Idle}
	defer out.end()
	http.ServeContent(out, r, "", time.Time{}, io.NewSectionReader(b, 0, b.Size()))
}

// disposition names the file so that no name can lead out of a folder.
func disposition(p *ota.Package) string {
	name := p.FileName
	if name == "" {
		name = fmt.Sprintf("%s-%s.bin", p.Title, p.Version.Version)
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`/\:"`, r) {
			return '_'
		}
		return r
	}, name)
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}
