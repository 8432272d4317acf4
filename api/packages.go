package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Package is a package as clients see it.
type Package struct {
	ID                string                `json:"id"`
	Title             string                `json:"title"`
	Version           string                `json:"version"`
	Tag               string                `json:"tag"`
	Type              string                `json:"type" enum:"firmware,software"`
	Profile           string                `json:"profile" doc:"Name of the profile that it is made for"`
	URL               string                `json:"url,omitempty" doc:"Where devices fetch it themselves"`
	Size              int64                 `json:"size" doc:"Bytes"`
	ChecksumAlgorithm ota.ChecksumAlgorithm `json:"checksumAlgorithm,omitempty"`
	Checksum          string                `json:"checksum,omitempty" doc:"As devices are told it"`
	Digest            string                `json:"digest,omitempty" doc:"SHA-256 of the bytes"`
	FileName          string                `json:"fileName,omitempty"`
	ContentType       string                `json:"contentType,omitempty"`
	Description       string                `json:"description,omitempty"`
	Labels            map[string]string     `json:"labels,omitempty"`
	Created           time.Time             `json:"created"`
	Ready             bool                  `json:"ready" doc:"It has been checked and can be assigned"`
	Quarantine        string                `json:"quarantine,omitempty" doc:"Why nobody may assign it"`
}

// PackageMeta is what a new package says of itself, whether its bytes come with
// it or lie elsewhere.
type PackageMeta struct {
	Title             string            `json:"title" minLength:"1" maxLength:"255"`
	Version           string            `json:"version" minLength:"1" maxLength:"255"`
	Profile           string            `json:"profile" minLength:"1" doc:"Name or id"`
	Type              string            `json:"type,omitempty" enum:"firmware,software" default:"firmware"`
	Tag               string            `json:"tag,omitempty" maxLength:"255"`
	Description       string            `json:"description,omitempty" maxLength:"4096"`
	Labels            map[string]string `json:"labels,omitempty"`
	ChecksumAlgorithm string            `json:"checksumAlgorithm,omitempty" doc:"MD5, SHA256, SHA384, SHA512, CRC32, MURMUR3_32 or MURMUR3_128"`
	Checksum          string            `json:"checksum,omitempty" maxLength:"1020" doc:"Lower-case hex, as devices expect it"`
}

// NewURLPackage asks for a package whose bytes lie elsewhere; the server never
// fetches them.
type NewURLPackage struct {
	PackageMeta
	URL  string `json:"url" minLength:"1" maxLength:"255"`
	Size int64  `json:"size,omitempty" minimum:"0" doc:"Bytes, where known"`
}

// Quarantine says why nobody may assign a package.
type Quarantine struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1024"`
}

type packageIn struct {
	Package string `path:"package" doc:"TITLE@VERSION, URL-encoded, or id"`
}

type packagesIn struct {
	Paging
	Search string `query:"search" maxLength:"255" doc:"Part of the title, in any case"`
}

type quarantineIn struct {
	Package string `path:"package" doc:"TITLE@VERSION, URL-encoded, or id"`
	Body    Quarantine
}

func (s *Server) packageRoutes() {
	tags := []string{"Packages"}
	register(s, huma.Operation{
		OperationID: "list-packages", Method: http.MethodGet, Path: "/api/packages", Tags: tags, Summary: "List packages",
	}, s.listPackages)
	register(s, huma.Operation{
		OperationID: "show-package", Method: http.MethodGet, Path: "/api/packages/{package}", Tags: tags, Summary: "Show a package",
		Errors: []int{http.StatusNotFound},
	}, s.showPackage)
	register(s, huma.Operation{
		OperationID: "add-url-package", Method: http.MethodPost, Path: "/api/packages/external", Tags: tags,
		Summary: "Create a package whose bytes lie elsewhere", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.addURLPackage)
	register(s, huma.Operation{
		OperationID: "delete-package", Method: http.MethodDelete, Path: "/api/packages/{package}", Tags: tags, Summary: "Delete a package",
		Description: "Refused while it is assigned. Attributes that devices were told stay.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.deletePackage)
	register(s, huma.Operation{
		OperationID: "quarantine-package", Method: http.MethodPut, Path: "/api/packages/{package}/quarantine", Tags: tags,
		Summary: "Let nobody assign or fetch a package", Errors: []int{http.StatusNotFound},
	}, s.quarantine)
	register(s, huma.Operation{
		OperationID: "release-package", Method: http.MethodDelete, Path: "/api/packages/{package}/quarantine", Tags: tags,
		Summary: "Take a package out of quarantine", Errors: []int{http.StatusNotFound},
	}, s.release)
	s.uploadRoute(tags)
	s.downloadRoute(tags)
}

func (n *names) viewPackage(ctx context.Context, p *ota.Package) (Package, error) {
	profile, err := n.profile(ctx, p.Profile)
	if err != nil {
		return Package{}, err
	}
	return Package{
		ID: string(p.ID), Title: p.Title, Version: p.Version.Version, Tag: p.Tag, Type: string(p.Kind), Profile: profile.Name,
		URL: p.URL, Size: p.Size, ChecksumAlgorithm: p.Algorithm, Checksum: p.Checksum, Digest: p.Blob, FileName: p.FileName,
		ContentType: p.ContentType, Description: p.Description, Labels: p.Labels, Created: p.Created.UTC(), Ready: p.Ready,
		Quarantine: p.Quarantine,
	}, nil
}

// listPackages reads on behind a page on which the search found too little, so
// that an empty page is the last one.
func (s *Server) listPackages(ctx context.Context, in *packagesIn) (*body[List[Package]], error) {
	out, n := List[Package]{Data: []Package{}}, s.names()
	q := ota.Query{Tenant: s.Tenant, Type: ota.PackageRef, Cursor: in.Cursor, Limit: in.PageSize}
	search := strings.ToLower(in.Search)
	for {
		page, err := s.Lister.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, h := range page.Homes {
			if !strings.Contains(strings.ToLower(h.Package.Title), search) {
				continue
			}
			p, err := n.viewPackage(ctx, h.Package)
			if err != nil {
				return nil, err
			}
			out.Data = append(out.Data, p)
		}
		if page.Next == "" || len(out.Data) > 0 {
			out.Next = page.Next
			return answer(out)
		}
		q.Cursor = page.Next
	}
}

func (s *Server) showPackage(ctx context.Context, in *packageIn) (*body[Package], error) {
	h, err := s.find(ctx, ota.PackageRef, in.Package)
	if err != nil {
		return nil, err
	}
	return s.packageView(ctx, h.Package)
}

func (s *Server) packageView(ctx context.Context, p *ota.Package) (*body[Package], error) {
	v, err := s.names().viewPackage(ctx, p)
	if err != nil {
		return nil, err
	}
	return answer(v)
}

// newPackage makes the noun that m describes, not stored yet and without data.
// where is what fields of the request are called after: "body" or "query".
func (s *Server) newPackage(ctx context.Context, where string, m PackageMeta) (*ota.Package, error) {
	p, err := s.find(ctx, ota.ProfileRef, m.Profile)
	if err != nil {
		return nil, inField(where+".profile", err)
	}
	if m.Type == "" {
		m.Type = string(ota.Firmware)
	}
	if len(m.Description) > 4096 {
		return nil, invalid(where+".description", "the description is longer than 4096 bytes")
	}
	for k, v := range m.Labels {
		if err := ota.CheckName("label", k); err != nil {
			return nil, inField(where+".labels", err)
		}
		if len(v) > ota.MaxTitle {
			return nil, invalid(where+".labels", "label %s is longer than %d bytes", k, ota.MaxTitle)
		}
	}
	return &ota.Package{
		ID: ota.PackageID(ota.NewID()), Tenant: s.Tenant, Profile: p.Profile.ID, Kind: ota.Kind(strings.ToLower(m.Type)),
		Version:   ota.Version{Title: m.Title, Version: m.Version, Tag: m.Tag},
		Algorithm: ota.ChecksumAlgorithm(strings.ToUpper(m.ChecksumAlgorithm)), Checksum: strings.ToLower(m.Checksum),
		Description: m.Description, Labels: m.Labels, Created: s.Homes.Now(),
	}, nil
}

func (s *Server) addURLPackage(ctx context.Context, in *struct{ Body NewURLPackage }) (*body[Package], error) {
	b := in.Body
	p, err := s.newPackage(ctx, "body", b.PackageMeta)
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(b.URL); err != nil || u.Scheme == "" {
		return nil, invalid("body.url", "%q is no URL; it begins with a scheme, such as https://", b.URL)
	}
	p.URL, p.Size = b.URL, b.Size
	if err := p.Check(); err != nil {
		return nil, inField("body", err)
	}
	if p, _, err = s.store(ctx, p); err != nil {
		return nil, err
	}
	return s.packageView(ctx, p)
}

// checkLater is when a new package is checked that its uploader's process has
// not checked: it died, or a part was away.
const checkLater = time.Minute

// store writes a new package and lets it be checked. Where one of that name is
// there already it stays, if the new one is the same; made says which.
func (s *Server) store(ctx context.Context, p *ota.Package) (stored *ota.Package, made bool, err error) {
	old, err := s.named(ctx, p.Version)
	if err != nil {
		return nil, false, err
	}
	if old != nil {
		stored, err = s.again(ctx, old, p)
		return stored, false, err
	}
	checked := s.PackageAdded != nil && s.ChecksPackages != nil && s.ChecksPackages()
	p.Ready = !checked
	h := &ota.Home{Ref: s.ref(ota.PackageRef, string(p.ID)), Package: p}
	if checked { // should this process not come to it, the owner of the tenant does
		h.Post(ota.Pending{At: s.Homes.Now().Add(checkLater), Event: ota.PackageAdded, Kind: p.Kind})
	}
	if err := s.create(ctx, h); err != nil {
		return nil, false, err
	}
	if checked {
		if err := s.PackageAdded(ctx, h.Ref); err != nil {
			return nil, true, err
		}
		if h, err = s.Facts.Get(ctx, h.Ref); err != nil {
			return nil, true, err
		}
	}
	return h.Package, true, nil
}

// named returns the package of that name, or nil.
func (s *Server) named(ctx context.Context, v ota.Version) (*ota.Package, error) {
	ref, err := s.Facts.Find(ctx, s.Tenant, ota.PackageRef, v.String())
	if ota.CodeOf(err) == ota.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h, err := s.Facts.Get(ctx, ref)
	if ota.CodeOf(err) == ota.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return h.Package, nil
}

// again takes a package that is there already for the new one where both are
// the same; what may change of it is then as the new one says.
func (s *Server) again(ctx context.Context, old, p *ota.Package) (*ota.Package, error) {
	if err := taken(old, p); err != nil {
		return nil, err
	}
	h, err := s.change(ctx, s.ref(ota.PackageRef, string(old.ID)), func(t *ota.Turn) error {
		t.Home.Package.Description, t.Home.Package.Labels = p.Description, p.Labels
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h.Package, nil
}

// taken is a Conflict where old and p differ in what cannot change.
func taken(old, p *ota.Package) error {
	if err := ota.CheckChange(old, p); err != nil {
		return &ota.Error{Code: ota.Conflict, Op: "it exists already", Err: err}
	}
	return nil
}

func (s *Server) quarantine(ctx context.Context, in *quarantineIn) (*body[Package], error) {
	if err := ota.CheckName("reason", in.Body.Reason); err != nil && len(in.Body.Reason) <= ota.MaxTitle {
		return nil, inField("body.reason", err)
	}
	return s.setQuarantine(ctx, in.Package, in.Body.Reason)
}

func (s *Server) release(ctx context.Context, in *packageIn) (*body[Package], error) {
	return s.setQuarantine(ctx, in.Package, "")
}

func (s *Server) setQuarantine(ctx context.Context, name, reason string) (*body[Package], error) {
	h, err := s.find(ctx, ota.PackageRef, name)
	if err != nil {
		return nil, err
	}
	h, err = s.change(ctx, h.Ref, func(t *ota.Turn) error {
		t.Home.Package.Quarantine = reason
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.packageView(ctx, h.Package)
}

func (s *Server) deletePackage(ctx context.Context, in *packageIn) (*struct{}, error) {
	h, err := s.find(ctx, ota.PackageRef, in.Package)
	if err != nil {
		return nil, err
	}
	p := h.Package
	err = s.remove(ctx, h.Ref, func(*ota.Home) error {
		by, err := s.Lister.References(ctx, s.Tenant, p.ID)
		if err != nil {
			return err
		}
		return ota.CheckDeletePackage(p, by)
	})
	if err != nil {
		return nil, err
	}
	return nil, s.letGo(ctx, p.Blob)
}

// letGo deletes the bytes that a package had, unless another one has the same.
func (s *Server) letGo(ctx context.Context, digest string) error {
	if digest == "" {
		return nil
	}
	return s.blobs.delete(digest, func() error {
		used, err := s.holds(ctx, digest)
		if err != nil || used {
			return err
		}
		return s.Blobs.Delete(ctx, digest)
	})
}

// holds says whether any package has these bytes. Packages are hundreds, and
// this is asked when one is deleted or refused.
func (s *Server) holds(ctx context.Context, digest string) (bool, error) {
	q := ota.Query{Tenant: s.Tenant, Type: ota.PackageRef, Limit: 1000}
	for {
		page, err := s.Lister.List(ctx, q)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(page.Homes, func(h *ota.Home) bool { return h.Package.Blob == digest }) {
			return true, nil
		}
		if page.Next == "" {
			return false, nil
		}
		q.Cursor = page.Next
	}
}
