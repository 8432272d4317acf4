package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// simulation is what to play, and against whom.
type simulation struct {
	devices   int
	profile   string
	transport string
	kind      ota.Kind
	chunk     int64
	fail      float64
	loss      float64     // share of datagrams
	target    ota.Version // that is assigned to the profile
	timeout   time.Duration
	install   time.Duration
	address   string
	quiet     bool // no bar
}

const (
	parallel    = 16               // requests to the management API at the same time
	simPatience = 30 * time.Second // for an answer of the server
	simPoll     = 2 * time.Second  // for news of the server, before asking again
	simFailure  = "simulated failure"
)

// run plays the fleet and returns what came of it. An error means that it could
// not be played; devices that went astray are told in the result.
func (s *simulation) run(ctx context.Context, c *cobra.Command, cl *client) (simulated, error) {
	if err := s.warn(ctx, c, cl); err != nil {
		return simulated{}, err
	}
	fleet, created, err := s.gather(ctx, cl)
	if err != nil {
		return simulated{}, err
	}
	connect, err := s.connector(ctx, cl)
	if err != nil {
		return simulated{}, err
	}
	g := game{bar: &progress{}}
	if !s.quiet {
		g.bar = newProgress(c, "simulate", int64(len(fleet)), false)
	}
	defer g.bar.end()
	planned := map[string]ota.State{}
	var players []sim.Player
	for i, d := range fleet {
		if s.settled(d) {
			planned[d.Name] = ota.Updated
			g.bar.add(1)
			continue
		}
		p := s.plays(d, connect, sim.Chosen(i, s.fail), g.notice)
		planned[d.Name] = p.Planned()
		players = append(players, p)
	}
	playing, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	began := time.Now()
	results := sim.Play(playing, players)
	took := time.Since(began)
	g.bar.end()
	if ctx.Err() != nil {
		return simulated{}, ctx.Err()
	}
	for i := range results {
		if results[i].State != "" {
			continue
		}
		results[i].Error = "the time was up"
		if text, ok := g.trouble.Load(results[i].Device); ok {
			results[i].Error += "; last: " + fmt.Sprint(text)
		}
	}
	out := summary(results, took, g.bytes.Load())
	out.Created = created
	return out, s.compare(ctx, cl, planned, &out)
}

// game is what is seen of devices while they play.
type game struct {
	bar     *progress
	bytes   atomic.Int64
	ends    sync.Map // by name: it has ended
	trouble sync.Map // by name: the last error of its wire
}

// notice is called on the devices' goroutines.
func (g *game) notice(e sim.Event) {
	g.bytes.Add(e.Bytes)
	if e.Err != nil && !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
		g.trouble.Store(e.Device, e.Err.Error())
	}
	if e.State == string(ota.Failed) || e.State == string(ota.Updated) {
		if _, twice := g.ends.LoadOrStore(e.Device, true); !twice {
			g.bar.add(1)
		}
	}
}

// warn says so where the devices will wait for an assignment.
func (s *simulation) warn(ctx context.Context, c *cobra.Command, cl *client) error {
	var p api.Profile
	if err := cl.do(ctx, http.MethodGet, path("profiles", s.profile), nil, nil, &p); err != nil {
		return err
	}
	a := p.Firmware
	if s.kind == ota.Software {
		a = p.Software
	}
	if a != nil {
		s.target = ota.Version{Title: a.Title, Version: a.Version}
		return nil
	}
	return done(c, "windlass: nothing is assigned to profile %s; devices without a package of their own will wait for it", s.profile)
}

// settled says whether the device runs what it shall run, so that nothing would
// ever happen to it.
func (s *simulation) settled(d api.Device) bool {
	t := s.track(d)
	return t.State == string(ota.Updated) && t.Current != nil && t.Target != nil && t.Current.Title == t.Target.Title && t.Current.Version == t.Target.Version
}

func (s *simulation) track(d api.Device) api.Track {
	if s.kind == ota.Software {
		return d.Software
	}
	return d.Firmware
}

// plays is the device as it is played, whatever its transport.
func (s *simulation) plays(d api.Device, connect func(token string) sim.Wire, fails bool, notice func(sim.Event)) sim.Player {
	if s.transport == "lwm2m" {
		return s.client(d, fails, notice)
	}
	p := s.player(d, connect(d.AccessToken), fails)
	p.Notice = notice
	return p
}

func (s *simulation) player(d api.Device, w sim.Wire, fails bool) *sim.Device {
	p := &sim.Device{
		Name: d.Name, Wire: w, Kind: s.kind, Chunk: s.chunk, OneMore: s.transport == "http", Install: s.install,
	}
	if v := s.track(d).Current; v != nil {
		p.Runs = ota.Version{Title: v.Title, Version: v.Version}
	}
	if fails {
		p.Behaves.Fails = simFailure
	}
	return p
}

// gather returns the devices to play, the first of the profile by name, with
// their tokens, and makes those that are missing.
func (s *simulation) gather(ctx context.Context, cl *client) (fleet []api.Device, created int, err error) {
	have := map[string]bool{}
	err = each(ctx, cl, path("devices"), url.Values{"profile": {s.profile}}, func(d api.Device) error {
		have[d.Name] = true
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	names := sortedKeys(have)
	for n := 1; len(names) < s.devices; n++ {
		if name := fmt.Sprintf("%s-%05d", s.profile, n); !have[name] {
			names = append(names, name)
			created++
		}
	}
	names = names[:s.devices]
	slices.Sort(names)
	fleet = make([]api.Device, len(names))
	err = inParallel(ctx, len(names), func(ctx context.Context, i int) error {
		if have[names[i]] {
			return cl.do(ctx, http.MethodGet, path("devices", names[i]), nil, nil, &fleet[i])
		}
		made := api.NewDevice{Name: names[i], Profile: s.profile}
		if s.transport == "lwm2m" {
			made.Credentials = &api.Credentials{Type: string(ota.LwM2M), Endpoint: names[i]}
		}
		return cl.do(ctx, http.MethodPost, path("devices"), nil, made, &fleet[i])
	})
	return fleet, created, err
}

// inParallel calls do for 0…n-1, some at the same time, until one fails.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, parallel) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// connector finds the door of the transport, and returns what makes a device's
// wire to it.
func (s *simulation) connector(ctx context.Context, cl *client) (func(token string) sim.Wire, error) {
	at := s.address
	if at == "" {
		var sys api.System
		if err := cl.do(ctx, http.MethodGet, path("system"), nil, nil, &sys); err != nil {
			return nil, err
		}
		door := sys.Doors[s.transport]
		if door == "" {
			return nil, hinted(fmt.Errorf("the server has no door for %s", s.transport), "name one by --address HOST:PORT")
		}
		_, port, err := net.SplitHostPort(door)
		if err != nil {
			return nil, fmt.Errorf("the server's door for %s: %w", s.transport, err)
		}
		at = net.JoinHostPort(cl.base.Hostname(), port)
	}
	if s.transport == "lwm2m" {
		s.address = at
		return nil, nil // its clients are no wires, see client
	}
	if s.transport == "mqtt" {
		return func(token string) sim.Wire { return sim.NewMQTT(at, token, 4, 1, simPatience, simPoll) }, nil
	}
	if s.transport == "coap" {
		ack := 2 * time.Second
		if s.loss > 0 {
			ack = 50 * time.Millisecond // with the usual time an image would take hours
		}
		return func(token string) sim.Wire { return sim.NewCoAP(at, token, s.loss, ack, simPatience, simPoll) }, nil
	}
	t := transport()
	t.MaxIdleConnsPerHost, t.Proxy = s.devices, nil
	h := &http.Client{Transport: t}
	base := "http://" + at
	if s.address == "" && cl.base.Scheme == "https" {
		base = cl.base.Scheme + "://" + cl.base.Host
	}
	return func(token string) sim.Wire { return sim.NewHTTP(h, base, token, simPoll) }, nil
}

func summary(results []sim.Result, took time.Duration, bytes int64) simulated {
	out := simulated{States: map[string]int{}, errors: map[string]int{}, Took: took.Round(time.Millisecond).String(), Bytes: bytes}
	if took > 0 {
		out.Speed = float64(bytes) / took.Seconds()
	}
	var times []time.Duration
	for _, r := range results {
		if r.State != "" {
			times = append(times, r.Took)
		}
		if r.Error != "" {
			out.errors[r.Error]++
		}
	}
	if n := len(times); n > 0 {
		slices.Sort(times)
		at := func(i int) string { return times[min(i, n-1)].Round(time.Millisecond).String() }
		out.Updates = spread{at(0), at(n / 2), at(n * 95 / 100), at(n - 1)}
	}
	return out
}

// compare looks how the devices ended as the server knows them.
func (s *simulation) compare(ctx context.Context, cl *client, planned map[string]ota.State, out *simulated) error {
	var astray []string
	err := each(ctx, cl, path("devices"), url.Values{"profile": {s.profile}}, func(d api.Device) error {
		want, played := planned[d.Name]
		if !played {
			return nil
		}
		out.Devices++
		got := s.track(d).State
		out.States[stateName(got)]++
		if got != string(want) {
			astray = append(astray, fmt.Sprintf("%s is %s, not %s", d.Name, stateName(got), want))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if out.Devices < len(planned) {
		return errors.New("devices were deleted while they played")
	}
	slices.Sort(astray)
	if out.Unplanned = len(astray); out.Unplanned > 0 {
		out.First = astray[0]
	}
	return nil
}
