package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/windlass-ota/windlass/ota"
)

// Deps is what the API stands on. All of it is required unless it says so.
type Deps struct {
	Homes   ota.Homes
	Facts   ota.Facts // fresh: the store itself, so that what was written is seen
	Lister  ota.Lister
	Letters ota.Letters
	Blobs   ota.Blobs
	Wishes  Wisher
	Doors   ota.Doors // nil: rollouts take no permits
	Auth    Authenticator
	Log     *slog.Logger

	// Retry runs the message of a dead letter again, and returns the letter that
	// stays where it fails, else nil. Where it ends well it has removed the letter.
	Retry func(ctx context.Context, l ota.DeadLetter) (again *ota.DeadLetter, err error)

	Replayer Replayer // nil: replays answer 404

	// NewDeviceID makes the id of a device that is about to be stored.
	NewDeviceID func(ctx context.Context, t ota.TenantID, name string) (ota.DeviceID, error)

	Pace  ota.Pace // at which updates are offered, for explanations
	Links *Links   // nil: no link leads anywhere

	Chains Chains // nil: the chain resources answer 404
	Runs   Runs   // nil: runs and taps answer 404
	Nodes  []Node // the catalogue; see Catalogue
	Schema []byte // JSON Schema of a chain file; nil: it answers 404

	// ChecksPackages says whether a chain hears package_added. Where it does, a
	// new package is assignable only after PackageAdded, which runs that chain,
	// has made it so. Both may be nil: then a package is assignable at once.
	ChecksPackages func() bool
	PackageAdded   func(ctx context.Context, ref ota.Ref) error

	// CheckMQTT says what the endpoint makes of a profile's settings; nil: it takes
	// any.
	CheckMQTT func(m ota.MQTTSettings) (member string, err error)

	Ready  func() bool                      // nil: always
	Health func(ctx context.Context) []Part // nil: no parts
	Now    func() time.Time                 // nil: time.Now; for the limit on failures alone
	Tenant ota.TenantID                     // "": ota.DefaultTenant
	Info   Info                             // shown by /api/system
	Limits Limits                           // zero members take their default
}

// Wisher writes what operators want; ota.Wishes is one.
type Wisher interface {
	Assign(ctx context.Context, w ota.Wish) (ota.WishDone, error)
	Unassign(ctx context.Context, w ota.Wish) (ota.WishDone, error)
	Operate(ctx context.Context, r ota.Ref, what, by, reason string) (ota.RolloutID, error)
	Answer(ctx context.Context, r ota.Ref, v ota.Vote, withdraw bool) (*ota.Approval, error)
}

// Limits bound what one request may ask for.
type Limits struct {
	Upload  int64         // bytes of a package; default 16 GiB
	Body    int64         // bytes of any other body; default 1 MiB
	Uploads int           // at the same time; default 16
	Idle    time.Duration // without a byte moving, after which a transfer ends; default 1 m
}

func (l Limits) withDefaults() Limits {
	if l.Upload <= 0 {
		l.Upload = 16 << 30
	}
	if l.Body <= 0 {
		l.Body = 1 << 20
	}
	if l.Uploads <= 0 {
		l.Uploads = 16
	}
	if l.Idle <= 0 {
		l.Idle = time.Minute
	}
	return l
}

// Info is what a server says about itself.
type Info struct {
	Version string    `json:"version" doc:"Version of the server"`
	Process string    `json:"process" doc:"Name of this process among those that share the state"`
	Started time.Time `json:"started" doc:"When this process began"`

	// Doors are the addresses on which this process hears devices, by transport.
	Doors map[string]string `json:"doors" doc:"Addresses on which this process hears devices, by transport"`
}

// bodyTime is how long the body of a request may take, other than a package.
const bodyTime = 10 * time.Second

// Server answers the management API. Make one by [New]; it is safe for
// concurrent use.
type Server struct {
	Deps
	mux     *http.ServeMux
	api     huma.API
	fails   *failures
	uploads chan struct{}
	blobs   blobGuard
}

// New makes a Server of d. It starts nothing and holds nothing to be closed.
func New(d Deps) *Server {
	if d.Tenant == "" {
		d.Tenant = ota.DefaultTenant
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	d.Limits = d.Limits.withDefaults()
	s := &Server{Deps: d, mux: http.NewServeMux(), fails: newFailures(d.Now), uploads: make(chan struct{}, d.Limits.Uploads)}
	s.api = humago.New(s.mux, apiConfig(d.Info.Version))
	s.routes()
	return s
}

func apiConfig(version string) huma.Config {
	c := huma.DefaultConfig("Windlass management API", version)
	c.Info.Description = "Profiles, devices, packages and assignments of a Windlass server. " +
		"Every path below /api/ needs the header \"Authorization: Bearer TOKEN\"."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.DocsPath, c.SchemasPath = "", "" // a page that loads scripts from elsewhere; schemas stand in the document
	c.CreateHooks = nil                // which would add "$schema" to every answer
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	c.Security = []map[string][]string{{"token": {}}}
	return c
}

func (s *Server) routes() {
	s.profileRoutes()
	s.credentialRoutes()
	s.deviceRoutes()
	s.explainRoutes()
	s.packageRoutes()
	s.assignmentRoutes()
	s.statusRoutes()
	s.chainRoutes()
	s.nodeRoutes()
	s.deadLetterRoutes()
	s.rolloutRoutes()
	s.approvalRoutes()
	s.runRoutes()
	s.tapRoutes()
	s.systemRoutes()
}

// Mount puts everything that the API answers into mux: /api/, /dl/, /openapi.json and
// /openapi.yaml, /healthz and /readyz. A longer pattern of the caller's, such as
// /api/v1/ for devices, wins over it.
func (s *Server) Mount(mux *http.ServeMux) {
	for _, p := range []string{"/api/", linkPath, answerPath, "/openapi.json", "/openapi.yaml", "/healthz", "/readyz"} {
		mux.Handle(p, s)
	}
}

// ServeHTTP lets in who bears a token, then answers. The document and the two
// health pages are for everybody, and a link to a package for who has it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.URL.Path, "/api/") {
		who, ok := s.authenticate(w, r)
		if !ok {
			return
		}
		r = r.WithContext(withUser(r.Context(), who))
		if r.Body != nil && r.Body != http.NoBody && r.URL.Path != uploadPath {
			r.Body = within(w, r.Body, bodyTime)
		}
	}
	handler, pattern := s.mux.Handler(r)
	if pattern == "" { // no such path, or not this method: the mux knows which
		c := &statusOnly{header: h}
		handler.ServeHTTP(c, r)
		h.Del("Content-Length")
		writeProblem(w, problem(c.status, "%s %s: there is nothing here", r.Method, r.URL.Path))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// statusOnly keeps the status and the headers of an answer and drops its body.
type statusOnly struct {
	header http.Header
	status int
}

func (c *statusOnly) Header() http.Header         { return c.header }
func (c *statusOnly) WriteHeader(status int)      { c.status = status }
func (c *statusOnly) Write(b []byte) (int, error) { return len(b), nil }

// register adds an operation with what all of them share.
func register[I, O any](s *Server, op huma.Operation, do func(ctx context.Context, in *I) (*O, error)) {
	op.MaxBodyBytes, op.BodyReadTimeout = s.Limits.Body, -1 // ServeHTTP bounds the time
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusTooManyRequests)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return out, nil
	})
}

// body is an answer with a JSON body.
type body[T any] struct{ Body T }

// answer is the last line of a handler that went well.
func answer[T any](v T) (*body[T], error) { return &body[T]{v}, nil } //nolint:unparam // the shape of a handler's results

// List is a part of all that a query chooses.
type List[T any] struct {
	Data []T    `json:"data"`
	Next string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
}

// Paging is the part of a query that all lists share.
type Paging struct {
	Cursor   string `query:"cursor" doc:"next of the page before; left out: the first page" maxLength:"4096"`
	PageSize int    `query:"pageSize" default:"100" minimum:"1" maximum:"1000" doc:"How many at most"`
}
