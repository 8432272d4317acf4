package lwm2m

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
	"github.com/windlass-ota/windlass/transports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is what stands behind the door, with the rules of updates and no chains:
// it keeps what is told, lets devices install what they have downloaded, and
// tries again where that was said to help.
type house struct {
	t      *testing.T
	router *transports.Router
	data   []byte
	dir    string

	mu       sync.Mutex
	devices  map[ota.Ref]*ota.Home
	profile  *ota.Profile
	packages map[ota.PackageID]*ota.Package
	log      []string // states as told
	values   []string
	events   []string
	retries  int
	asks     int
	answers  []ota.Message
	done     chan struct{} // a word for each telemetry
}

const tenant ota.TenantID = "main"

func newHouse(t *testing.T, size int) *house {
	h := &house{
		t: t, devices: map[ota.Ref]*ota.Home{}, packages: map[ota.PackageID]*ota.Package{}, dir: t.TempDir(), done: make(chan struct{}, 1000),
		profile: &ota.Profile{ID: "p", Tenant: tenant, Name: "pump"},
	}
	h.data = make([]byte, size)
	_, _ = rand.Read(h.data)
	if err := os.WriteFile(filepath.Join(h.dir, "sum"), h.data, 0o600); err != nil {
		t.Fatal(err)
	}
	h.router = transports.NewRouter(nil, h)
	return h
}

func (h *house) device(id string, c ota.Credentials) ota.Ref {
	c.Type = ota.LwM2M
	ref := ota.RefOf(tenant, ota.DeviceID(id))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.devices[ref] = &ota.Home{Ref: ref, Device: &ota.Device{ID: ota.DeviceID(id), Tenant: tenant, Name: id, Profile: "p", Credentials: c}}
	return ref
}

func (h *house) add(k ota.Kind, version string) *ota.Package {
	p := &ota.Package{
		ID: ota.PackageID(ota.NewID()), Tenant: tenant, Profile: "p", Kind: k, Version: ota.Version{Title: "app", Version: version}, Blob: "sum", Size: int64(len(h.data)),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.packages[p.ID] = p
	return p
}

// assign offers a package as the queue would.
func (h *house) assign(ref ota.Ref, p *ota.Package) {
	h.mu.Lock()
	x := h.devices[ref].Device.Track(p.Kind)
	x.Enqueue(p, "1", "", "", time.Now())
	_ = x.Initiate(time.Hour, time.Now())
	h.mu.Unlock()
	h.say(ref, ota.Reply{Word: ota.SayOffer, Section: ota.Section{Package: p}})
}

func (h *house) say(ref ota.Ref, r ota.Reply) {
	r.Tenant, r.Device, r.Push = ref.Tenant, ota.DeviceID(ref.ID), true
	_, _ = h.router.Send(h.t.Context(), []ota.Reply{r})
}

func (h *house) track(ref ota.Ref, k ota.Kind) ota.Track {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *h.devices[ref].Clone().Device.Track(k)
}

func (h *house) Handle(_ context.Context, m ota.Message) ([]ota.Reply, error) {
	h.mu.Lock()
	ref := ota.RefOf(m.Tenant, m.Device)
	home := h.devices[ref]
	if home == nil {
		h.mu.Unlock()
		return nil, ota.Errorf(ota.NotFound, "test", "no such device")
	}
	var after []ota.Reply
	switch m.Event {
	case ota.Connected, ota.Disconnected:
		h.events = append(h.events, string(m.Event)+" "+ref.ID)
		for _, k := range ota.Kinds() {
			if u := home.Device.Track(k).Update; m.Event == ota.Connected && u.Open() && u.Offered {
				after = append(after, ota.Reply{Word: ota.SayOffer, Section: ota.Section{Package: h.packages[u.Package]}})
			}
		}
	case ota.Telemetry:
		h.values = append(h.values, string(m.Values))
		for _, k := range ota.Kinds() {
			after = append(after, h.report(home.Device.Track(k), k, m.Values)...)
		}
	case ota.ChunkRequested:
		h.asks++
		u := home.Device.Track(m.Kind).Update
		if u == nil || u.Closed != "" || !u.Target.Is(m.Want) {
			h.mu.Unlock()
			return []ota.Reply{ota.Refusal(ota.NotFound, "nothing is assigned")}, nil
		}
		p := h.packages[u.Package]
		h.mu.Unlock()
		return []ota.Reply{ota.Chunk(p.Section(m.Piece()))}, nil
	case ota.RPCAnswered:
		h.answers = append(h.answers, m)
	}
	h.mu.Unlock()
	for _, r := range after {
		h.say(ref, r)
	}
	select {
	case h.done <- struct{}{}:
	default:
	}
	return nil, nil
}

// report is what the chains telemetry and report do. The lock is held.
func (h *house) report(x *ota.Track, k ota.Kind, values []byte) (after []ota.Reply) {
	p := k.Prefix()
	get := func(key string) string { return gjson.GetBytes(values, key).String() }
	r := ota.Report{State: get(p + "_state"), Title: get("current_" + p + "_title"), Version: get("current_" + p + "_version"), Error: get(p + "_error")}
	if r.State != "" {
		h.log = append(h.log, p+" "+r.State)
	}
	out := x.Report(r, time.Now())
	u := x.Update
	switch {
	case out == ota.Mismatched:
		x.Fail("runs "+u.Reported.Version, false, time.Now())
	case out == ota.ToFailed && get("transportRetry") == "true" && x.Retry(3, 0, true, time.Now()):
		h.retries++
		_ = x.Initiate(time.Hour, time.Now())
		after = append(after, ota.Reply{Word: ota.SayOffer, Section: ota.Section{Package: h.packages[u.Package]}})
	case u != nil && u.State == ota.Downloaded:
		after = append(after, ota.Reply{Word: ota.SayApply, Kind: k})
	}
	return after
}

// Get implements [ota.Facts].
func (h *house) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r.Type {
	case ota.DeviceRef:
		if x := h.devices[r]; x != nil {
			return x.Clone(), nil
		}
	case ota.ProfileRef:
		return &ota.Home{Ref: r, Profile: h.profile}, nil
	case ota.PackageRef:
		if p := h.packages[ota.PackageID(r.ID)]; p != nil {
			return &ota.Home{Ref: r, Package: p}, nil
		}
	}
	return nil, ota.Errorf(ota.NotFound, "test", "no %s", r)
}

// ByKey implements [ota.Facts].
func (h *house) ByKey(_ context.Context, key string) (ota.Ref, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ref, x := range h.devices {
		if x.Device.Credentials.Has(key) {
			return ref, nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "test", "no such key")
}

// The rest of [ota.Facts], which nobody asks here.
func (h *house) Find(context.Context, ota.TenantID, ota.RefType, string) (ota.Ref, error) {
	return ota.Ref{}, ota.Errorf(ota.NotFound, "test", "not here")
}
func (h *house) Values(context.Context, ota.Ref, ota.Scope, []string) ([]ota.Value, error) {
	return nil, nil
}
func (h *house) Revision(context.Context, ota.TenantID) (int64, error) { return 0, nil }

// Open implements [Files].
func (h *house) Open(_ context.Context, digest string) (ota.Blob, error) {
	f, err := os.Open(filepath.Join(h.dir, digest))
	return blob{f, int64(len(h.data))}, err
}

type blob struct {
	*os.File
	size int64
}

func (b blob) Size() int64 { return b.size }

// serve starts the server under test on ports of its own.
func (h *house) serve(c Config, more ...func(*Deps)) *Transport {
	h.t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.AckTimeout == 0 {
		c.AckTimeout = 50 * time.Millisecond
	}
	if c.Stall == 0 {
		c.Stall = 20 * time.Second
	}
	d := Deps{
		Auth: transports.NewAuthenticator(h, transports.Guard{}), Router: h.router, Facts: h, Files: h, Key: []byte("0123456789abcdef"),
		Log: slog.New(slog.NewTextHandler(testLog{h.t}, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	for _, f := range more {
		f(&d)
	}
	x, err := New(c, d)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Serve(ctx, h) }()
	h.t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				h.t.Error(err)
			}
		case <-time.After(20 * time.Second):
			h.t.Error("it does not end")
		}
	})
	return x
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// client is a simulated device in front of a server.
func (h *house) client(x *Transport, name string, k ota.Kind) *sim.LwM2M {
	return &sim.LwM2M{
		Name: name, Endpoint: name, Kind: k, Runs: ota.Version{Title: "app", Version: "1.1.1"}, Target: ota.Version{Title: "app", Version: "1.1.10"},
		Delivery: 2, AckTimeout: 50 * time.Millisecond, Keep: true, Retry: 20 * time.Millisecond, Install: 100 * time.Millisecond,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", x.Addr().String())
		},
	}
}

// play plays a client to its end.
func (h *house) play(c *sim.LwM2M) sim.Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	r, err := c.Run(ctx)
	if err != nil {
		h.t.Errorf("client %s: %v, %+v", c.Name, err, r)
	}
	return r
}

// start plays a client until the test ends, or until it is stopped.
func (h *house) start(c *sim.LwM2M) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = c.Run(ctx) // what becomes of it is seen by the house
	}()
	stop = func() { cancel(); <-ended }
	h.t.Cleanup(stop)
	return stop
}

// until waits for something that is about to be so.
func (h *house) until(what string, is func() bool) {
	h.t.Helper()
	late := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			h.mu.Lock()
			defer h.mu.Unlock()
			h.t.Fatalf("never: %s\n%s\n%s", what, strings.Join(h.log, "\n"), strings.Join(h.values, "\n"))
		}
	}
}

// states are what was told, in order.
func (h *house) states() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(slices.Compact(slices.Clone(h.log)), ", ")
}
