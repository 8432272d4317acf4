package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
)

// The demo fleet: devices of one profile that are given a new version whenever
// all of them run the one before.
const (
	demoProfile = "demo"
	demoTitle   = "demo-app"
	demoSize    = 256 << 10
	demoChunk   = 16 << 10
	demoInstall = 2 * time.Second
	demoRest    = 30 * time.Second // between the end of one version and the next
)

// demo is the fleet of `windlass dev`, a client of the server like any other.
type demo struct {
	s       *server
	o       serveOptions
	cl      *client
	devices []api.Device
	sim     *simulation
}

// demo makes what is missing of the fleet and plays it until ctx ends.
func (s *server) demo(ctx context.Context, o serveOptions, token string) error {
	base := &url.URL{Scheme: "http", Host: reachable(s.doors["http"])}
	if s.doors["http"] == "" {
		return fmt.Errorf("the demo fleet is made over HTTP; give --http an address")
	}
	transport := "mqtt"
	if s.doors["mqtt"] == "" {
		transport = "http"
	}
	d := &demo{s: s, o: o, cl: &client{base: base, token: token, http: &http.Client{Transport: direct()}}}
	d.sim = &simulation{devices: o.Devices, profile: demoProfile, transport: transport, kind: ota.Firmware, chunk: demoChunk, install: demoInstall}
	if err := d.make(ctx); err != nil {
		return err
	}
	if err := d.play(ctx); err != nil {
		return err
	}
	return d.releases(ctx)
}

// direct is a transport that knows no proxy: the demo stays on this machine.
func direct() *http.Transport {
	t := transport()
	t.Proxy = nil
	return t
}

// make makes the profile and the devices, where they are not there yet.
func (d *demo) make(ctx context.Context) error {
	var ps api.List[api.Profile]
	if err := d.cl.do(ctx, http.MethodGet, path("profiles"), nil, nil, &ps); err != nil {
		return err
	}
	if !slices.ContainsFunc(ps.Data, func(p api.Profile) bool { return p.Name == demoProfile }) {
		if err := d.cl.do(ctx, http.MethodPost, path("profiles"), nil, api.NewProfile{Name: demoProfile}, nil); err != nil {
			return err
		}
	}
	fleet, _, err := d.sim.gather(ctx, d.cl)
	d.devices = fleet
	return err
}

// play starts every device, each on a goroutine that ends with ctx.
func (d *demo) play(ctx context.Context) error {
	connect, err := d.sim.connector(ctx, d.cl)
	if err != nil {
		return err
	}
	for _, x := range d.devices {
		p := d.sim.player(x, connect(x.AccessToken), false)
		go func() {
			for ctx.Err() == nil {
				p.Run(ctx) //nolint:errcheck // it ends with ctx, or is played again
			}
		}()
	}
	return nil
}

// releases gives the fleet one version after the other and shows how it goes.
func (d *demo) releases(ctx context.Context) error {
	version, err := d.latest(ctx)
	if err != nil {
		return err
	}
	for ; ; version++ {
		if err := d.release(ctx, version); err != nil {
			return ignoreEnd(ctx, err)
		}
		if err := d.follow(ctx, version); err != nil {
			return ignoreEnd(ctx, err)
		}
		fmt.Fprintf(d.o.Err, "windlass: the whole fleet runs %s %s; the next version comes in %s\n", demoTitle, demoVersion(version), demoRest)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(demoRest):
		}
	}
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the server stops, and the demo with it
	}
	return err
}

func demoVersion(n int) string { return "1." + strconv.Itoa(n) }

// latest is the number of the version to begin with: the newest that was
// uploaded, so that a demo that was stopped amid it goes on, or 1.
func (d *demo) latest(ctx context.Context) (int, error) {
	newest := 1
	err := each(ctx, d.cl, path("packages"), nil, func(p api.Package) error {
		var n int
		if _, err := fmt.Sscanf(p.Version, "1.%d", &n); err == nil && p.Title == demoTitle {
			newest = max(newest, n)
		}
		return nil
	})
	return newest, err
}

// release uploads a version, assigns it, and deletes the one that nobody needs
// any more.
func (d *demo) release(ctx context.Context, n int) error {
	image := make([]byte, demoSize)
	fill := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}) // the same each time, so that an upload again is the same package
	fill.Read(image)                                         //nolint:errcheck // it never fails
	q := url.Values{"title": {demoTitle}, "version": {demoVersion(n)}, "profile": {demoProfile}, "type": {"firmware"}, "fileName": {"demo.bin"}}
	r, err := d.cl.request(ctx, http.MethodPost, path("packages"), q, bytes.NewReader(image))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	resp, err := d.cl.send(r)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	name := demoTitle + "@" + demoVersion(n)
	if err := d.cl.do(ctx, http.MethodPost, path("assignments"), nil, api.NewAssignment{Package: name, Profile: demoProfile}, nil); err != nil {
		return err
	}
	if n > 2 {
		old := demoTitle + "@" + demoVersion(n-2)
		if err := d.cl.do(ctx, http.MethodDelete, path("packages", old), nil, nil, nil); err != nil {
			d.s.log.Debug("an old demo package stays", "package", old, "err", err)
		}
	}
	fmt.Fprintf(d.o.Err, "windlass: %s is assigned to %d demo devices, offered at %s\n", name, len(d.devices), printPace(d.s.cfg.OffersPace))
	return nil
}

// follow prints the counts as they change, until the whole fleet is updated.
func (d *demo) follow(ctx context.Context, n int) error {
	last := ""
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		run, err := d.running(ctx, n)
		if err != nil {
			return err
		}
		var s api.Status
		if err := d.cl.do(ctx, http.MethodGet, path("status"), url.Values{"type": {"firmware"}}, nil, &s); err != nil {
			return err
		}
		if line := countsLine(s.Firmware); line != last {
			last = line
			fmt.Fprintln(d.o.Err, "windlass: "+line)
		}
		if run == len(d.devices) {
			return nil
		}
	}
}

// running counts the devices that are updated to version n.
func (d *demo) running(ctx context.Context, n int) (count int, err error) {
	err = each(ctx, d.cl, path("devices"), url.Values{"profile": {demoProfile}}, func(x api.Device) error {
		t := x.Firmware
		if t.State == string(ota.Updated) && t.Target != nil && t.Target.Version == demoVersion(n) {
			count++
		}
		return nil
	})
	return count, err
}

func countsLine(c *api.Counts) string {
	if c == nil {
		return "nothing yet"
	}
	return fmt.Sprintf("QUEUED %d · INITIATED %d · DOWNLOADING %d · DOWNLOADED %d · VERIFIED %d · UPDATING %d · UPDATED %d · FAILED %d",
		c.Queued, c.Initiated, c.Downloading, c.Downloaded, c.Verified, c.Updating, c.Updated, c.Failed)
}

// printPace is a pace as people read it.
func printPace(p ota.Pace) string {
	if p.Every == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%d every %s", p.Count, p.Every)
}
