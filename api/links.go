package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Links makes links by which whoever has one may download a package's bytes
// until a time, without a token: for devices that fetch a URL. A link names its
// package and its end and is signed, so that nothing is kept of it.
type Links struct {
	Base string // how devices reach the server: https://ota.example.com; "": no link can be made
	Key  []byte // the same in all processes
}

const linkPath = "/dl/"

// Link makes a link to a package that ends at a time, to the second.
func (l *Links) Link(t ota.TenantID, p ota.PackageID, until time.Time) (string, error) {
	if l.Base == "" {
		return "", ota.Errorf(ota.Internal, "make a link", "nobody has said how devices reach this server; set http_url")
	}
	end := strconv.FormatInt(until.Unix(), 10)
	return l.Base + linkPath + url.PathEscape(string(t)) + "/" + url.PathEscape(string(p)) + "/" + end + "/" + l.sign(string(t), string(p), end), nil
}

const answerPath = "/approvals/"

// answers are the words of links for approving and denying.
var answers = map[bool]string{true: "approve", false: "deny"}

// Answer makes a link by which whoever has it may answer an approval, once.
func (l *Links) Answer(t ota.TenantID, approval string, approve bool) (string, error) {
	if l.Base == "" {
		return "", ota.Errorf(ota.Internal, "make a link", "nobody has said how this server is reached; set http_url")
	}
	word := answers[approve]
	return l.Base + answerPath + url.PathEscape(string(t)) + "/" + url.PathEscape(approval) + "/" + word + "/" + l.sign(string(t), "approval "+approval, word), nil
}

// answered takes the answer of who follows a link to an approval.
func (s *Server) answered(w http.ResponseWriter, r *http.Request) {
	tenant, id, word := r.PathValue("tenant"), r.PathValue("approval"), r.PathValue("answer")
	known := word == answers[true] || word == answers[false]
	if s.Links == nil || !known || !hmac.Equal([]byte(r.PathValue("signature")), []byte(s.Links.sign(tenant, "approval "+id, word))) {
		writeProblem(w, problem(http.StatusNotFound, "there is no such link"))
		return
	}
	ref := ota.Ref{Tenant: ota.TenantID(tenant), Type: ota.ApprovalRef, ID: id}
	if _, err := s.Wishes.Answer(r.Context(), ref, ota.Vote{By: ota.LinkVoter, Approve: word == answers[true]}, false); err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// sign is what only who knows the key can make: 128 bits of it are beyond
// guessing, and short enough for a small device's buffer.
func (l *Links) sign(tenant, pkg, end string) string {
	m := hmac.New(sha256.New, l.Key)
	for _, part := range []string{"link to a package", tenant, pkg, end} {
		m.Write([]byte(part))
		m.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}

// linked answers who follows a link.
func (s *Server) linked(w http.ResponseWriter, r *http.Request) {
	tenant, pkg, end := r.PathValue("tenant"), r.PathValue("package"), r.PathValue("end")
	if s.Links == nil || !hmac.Equal([]byte(r.PathValue("signature")), []byte(s.Links.sign(tenant, pkg, end))) {
		writeProblem(w, problem(http.StatusNotFound, "there is no such link"))
		return
	}
	sec, err := strconv.ParseInt(end, 10, 64)
	if err != nil || s.Homes.Now().Unix() >= sec {
		writeProblem(w, problem(http.StatusGone, "the link has expired"))
		return
	}
	h, err := s.Facts.Get(r.Context(), ota.Ref{Tenant: ota.TenantID(tenant), Type: ota.PackageRef, ID: pkg})
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.sendFile(w, r, h.Package)
}
