package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// fleet is devices of one profile that keep a log of their own: each state that
// the server has acknowledged.
type fleet struct {
	names   []string
	devices []*sim.Device
	logs    [][]string
	acked   atomic.Int64  // of all devices
	moments []int64       // counts of acked at which the next thing happens, rising
	due     chan struct{} // one for each moment that has come
}

// mostConns is how many connections a fleet's devices of HTTP share at most: a
// process may only have so many, and those of MQTT need one each.
const mostConns = 4000

// newFleet makes n devices, a third over MQTT 3.1.1, a third over 5.0, a third
// over HTTP.
func newFleet(t *testing.T, s *server, profile string, n int) *fleet {
	t.Helper()
	f := &fleet{names: make([]string, n), devices: make([]*sim.Device, n), logs: make([][]string, n)}
	token := s.token(t)
	each(t, n, func(i int) error {
		f.names[i] = fmt.Sprintf("%s-%04d", profile, i)
		return s.request(t.Context(), token, http.MethodPost, "/api/devices",
			map[string]string{"name": f.names[i], "profile": profile, "accessToken": "token-" + f.names[i]}, nil)
	})
	shared := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, MaxConnsPerHost: mostConns}}
	t.Cleanup(shared.CloseIdleConnections)
	patience, poll := 15*time.Second, 5*time.Second
	if n > mostConns { // so many are slow at everything, and would ask for the whole time
		patience, poll = time.Minute, 30*time.Second
	}
	for i, name := range f.names {
		d := &sim.Device{Name: name, Kind: ota.Firmware, Chunk: 4 << 10, Retry: 200 * time.Millisecond}
		switch i % 3 {
		case 0:
			d.Wire = sim.NewMQTT(s.mqtt, "token-"+name, 4, 1, patience, poll)
		case 1:
			d.Wire = sim.NewMQTT(s.mqtt, "token-"+name, 5, 1, patience, poll)
		case 2:
			d.Wire, d.OneMore = sim.NewHTTP(shared, "http://"+s.http, "token-"+name, 5*time.Second), true
		}
		d.Notice = func(e sim.Event) {
			if e.State == "" {
				return
			}
			f.logs[i] = append(f.logs[i], e.State)
			if n := f.acked.Add(1); slices.Contains(f.moments, n) {
				f.due <- struct{}{}
			}
		}
		f.devices[i] = d
	}
	return f
}

// reports is how many states a good device reports.
const reports = 5

// disturb plays the fleet to its end and does something at a number of random
// moments of it, measured in reports acknowledged.
func (f *fleet) disturb(t *testing.T, random *rand.Rand, times int, do func()) {
	t.Helper()
	for len(f.moments) < times {
		m := 1 + random.Int64N(int64(len(f.devices)*reports*9/10))
		if !slices.Contains(f.moments, m) {
			f.moments = append(f.moments, m)
		}
	}
	slices.Sort(f.moments)
	f.due = make(chan struct{}, times)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ended := make(chan []sim.Result, 1)
	go func() { ended <- sim.Play(ctx, f.devices) }()
	done := 0
	for {
		select {
		case <-f.due:
			do()
			done++
			continue
		case results := <-ended:
			if done += len(f.due); done < times {
				t.Errorf("the run ended after %d of %d moments", done, times)
			}
			for _, r := range results {
				if r.State != ota.Updated {
					t.Errorf("%s ended %q: %s", r.Device, r.State, r.Error)
				}
			}
			return
		}
	}
}

// assertNothingLost compares each device's own log with the history on the
// server: what was acknowledged is there, in its order, and the end is UPDATED.
func (f *fleet) assertNothingLost(t *testing.T, s *server) {
	t.Helper()
	found := make([]device, len(f.names))
	token := s.token(t)
	each(t, len(f.names), func(i int) error {
		return s.request(t.Context(), token, http.MethodGet, "/api/devices/"+f.names[i], nil, &found[i])
	})
	total, again := 0, 0
	for i, d := range found {
		history := d.Firmware.states()
		said := slices.Compact(slices.Clone(f.logs[i])) // said again, a state moves nothing
		total += len(f.logs[i])
		if len(f.logs[i]) > reports {
			again++
		}
		if !within(said, history) {
			t.Errorf("%s: a report is missing: acknowledged %s, history %s", d.Name, strings.Join(said, " "), strings.Join(history, " "))
		}
		if d.Firmware.State != "UPDATED" || d.Firmware.Current != d.Firmware.Target {
			t.Errorf("%s: %+v", d.Name, d.Firmware)
		}
	}
	t.Logf("%d reports acknowledged, %d of %d devices had to begin again", total, again, len(f.names))
}

// within says whether part's words stand in all, in their order.
func within(part, all []string) bool {
	for _, w := range all {
		if len(part) > 0 && part[0] == w {
			part = part[1:]
		}
	}
	return len(part) == 0
}
