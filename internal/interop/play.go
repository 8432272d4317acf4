package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/internal/child"
)

// play lets the clients update, one at a time.
func (h *house) play(ctx context.Context, only *regexp.Regexp) ([]result, error) {
	var results []result
	for i, c := range clients {
		if !only.MatchString(c.name + ", " + c.protocol) {
			continue
		}
		h.say("%s, %s …", c.name, c.protocol)
		r := h.try(ctx, c, i)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if r.err != nil {
			h.say("%s, %s: %v", c.name, c.protocol, r.err)
		}
		results = append(results, r)
	}
	return results, nil
}

// try is one client's update.
func (h *house) try(ctx context.Context, c client, n int) (r result) {
	r.client = c
	if h.doors[c.door] == "" {
		r.away = "the server has no door " + c.door
		return r
	}
	kit, err := h.install(ctx, c.kit)
	if err == nil {
		r.version, err = h.versionOf(ctx, c, kit)
	}
	var away *errAway
	if errors.As(err, &away) {
		r.away = away.why
		return r
	}
	if err == nil {
		r.took, err = h.update(ctx, c, kit, n)
	}
	r.err = err
	return r
}

// patience is how long a client has, for all that it does.
const patience = 2 * time.Minute

// update makes a device, starts its client, assigns a package when the device
// has made itself known, and judges.
func (h *house) update(ctx context.Context, c client, kit string, n int) (time.Duration, error) {
	d := device{
		name: fmt.Sprintf("interop-%d", n), dir: filepath.Join(h.dir, fmt.Sprint("device-", n)),
		runs: version{"app", "1.0"},
	}
	target := version{"app", fmt.Sprint("2.", n)}
	d.image = filepath.Join(d.dir, "image")
	if c.names {
		d.image = filepath.Join(d.dir, target.Title)
	}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return 0, err
	}
	if err := h.enroll(ctx, c, &d); err != nil {
		return 0, err
	}
	image, err := h.image(ctx, target)
	if err != nil {
		return 0, err
	}
	args := append(c.program(h, kit), h.address(c), d.secret, fmt.Sprint(c.chunk), d.runs.Title, d.runs.Version, d.image)
	args = append(args, c.more...)
	p, err := child.Start(d.dir, c.env(h, kit), args[0], args[1:]...)
	if err != nil {
		return 0, err
	}
	defer p.Kill()
	took, err := h.watch(ctx, c, &d, target, p)
	if err == nil {
		err = compare(d.image, image)
	}
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, tail(p.Said.String(), 3000))
	}
	return took, nil
}

// device is one that a client plays.
type device struct {
	name, dir string
	secret    string // how its client proves itself, in the words of the drivers
	runs      version
	image     string // where the client writes what it has fetched
}

// enroll tells the server about the device.
func (h *house) enroll(ctx context.Context, c client, d *device) error {
	if err := h.manage(ctx, http.MethodPost, "/api/devices", map[string]string{"name": d.name, "profile": profile, "accessToken": d.name}, nil); err != nil {
		return err
	}
	d.secret = d.name
	var credentials map[string]string
	switch c.secret {
	case byToken:
		return nil
	case byEndpoint:
		credentials = map[string]string{"type": "LWM2M_CREDENTIALS", "endpoint": d.name}
	case byPSK:
		key := make([]byte, 16)
		_, _ = rand.Read(key) // it never fails
		printable := []byte(hex.EncodeToString(key)[:16])
		credentials = map[string]string{"type": "LWM2M_CREDENTIALS", "endpoint": d.name, "identity": d.name, "key": hex.EncodeToString(printable)}
		d.secret = fmt.Sprintf("psk:%s:%s", d.name, printable)
	case byCertificate:
		files, err := h.certs.device(d.name)
		if err != nil {
			return err
		}
		cert, err := os.ReadFile(files.cert)
		if err != nil {
			return err
		}
		credentials = map[string]string{"type": "X509_CERTIFICATE", "certificate": string(cert)}
		if c.lwm2m {
			credentials = map[string]string{"type": "LWM2M_CREDENTIALS", "endpoint": d.name, "certificate": string(cert)}
		}
		d.secret = strings.Join([]string{"x509", files.cert, files.key, h.certs.server.cert}, ":")
	}
	return h.manage(ctx, http.MethodPut, "/api/devices/"+d.name+"/credentials", credentials, nil)
}

// goodRoad is what the history of an update that went well holds, in this order.
// Object 5 of LwM2M has no word for VERIFIED.
var goodRoad = []string{"QUEUED", "INITIATED", "DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING", "UPDATED"}

// watch assigns the target when the device has said what it runs, and waits
// until the server says that it is updated and the client has ended.
func (h *house) watch(ctx context.Context, c client, d *device, target version, p *child.Process) (took time.Duration, err error) {
	err = h.await(ctx, d, p, "the device to say what it runs", func(t track) (bool, error) { return t.Current != nil && t.Current.Title != "", nil })
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := h.manage(ctx, http.MethodPost, "/api/assignments", map[string]string{"package": target.Title + "@" + target.Version, "device": d.name}, nil); err != nil {
		return 0, err
	}
	err = h.await(ctx, d, p, "UPDATED", func(t track) (bool, error) {
		if t.State == "FAILED" {
			return false, fmt.Errorf("the update has failed: %s", deref(t.Error))
		}
		return t.State == "UPDATED" && t.Target != nil && *t.Target == target && *t.Current == target, nil
	})
	if err != nil {
		return 0, err
	}
	took = time.Since(began)
	if !c.lwm2m {
		if err := endsWell(p, 30*time.Second); err != nil {
			return 0, err
		}
	}
	return took, h.judge(ctx, c, d)
}

// judge holds the server's history of the update against the good road.
func (h *house) judge(ctx context.Context, c client, d *device) error {
	t, err := h.firmware(ctx, d.name)
	if err != nil {
		return err
	}
	var road []string
	for _, s := range t.History {
		if !slices.Contains(road, s.State) {
			road = append(road, s.State)
		}
	}
	want := goodRoad
	if c.lwm2m {
		want = slices.DeleteFunc(slices.Clone(want), func(state string) bool { return state == "VERIFIED" })
	}
	if !slices.Equal(road, want) {
		return fmt.Errorf("the server's history is %v, want %v", road, want)
	}
	return nil
}

// await asks the server about the device until done says yes. A client that has
// ended badly is not waited for; one that has ended well may be ahead of what it
// said.
func (h *house) await(ctx context.Context, d *device, p *child.Process, what string, done func(track) (bool, error)) error {
	var last track
	err := child.Eventually(ctx, patience, func() (bool, error) {
		var err error
		if last, err = h.firmware(ctx, d.name); err != nil {
			return false, err
		}
		if ok, err := done(last); ok || err != nil {
			return ok, err
		}
		select {
		case <-p.Ended:
			if err := p.Err(); err != nil {
				return false, fmt.Errorf("the client ended with %w", err)
			}
		default:
		}
		return false, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("waited in vain for %s; the server has state %q, error %q", what, last.State, deref(last.Error))
	}
	return err
}

func compare(file string, want []byte) error {
	got, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the image of %d bytes differs from the package's %d", len(got), len(want))
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// tail is the last n bytes.
func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
