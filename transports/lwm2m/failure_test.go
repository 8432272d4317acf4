package lwm2m

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// TestFailures: each result means what the table says, for the state, the reason
// and whether it is tried again.
func TestFailures(t *testing.T) {
	tests := []struct {
		name    string
		kind    ota.Kind
		result  int64
		times   int // so often it fails; 0: always
		want    ota.State
		text    string
		retries int
	}{
		{"not enough flash", ota.Firmware, 2, 0, ota.Failed, "NOT_ENOUGH_FLASH", 0},
		{"out of memory", ota.Firmware, 3, 0, ota.Failed, "OUT_OF_RAM", 0},
		{"connection lost, once", ota.Firmware, 4, 1, ota.Updated, "", 1},
		{"integrity, twice", ota.Firmware, 5, 2, ota.Updated, "", 2},
		{"integrity, always", ota.Firmware, 5, 3, ota.Failed, "INTEGRITY_CHECK_FAILURE", 2},
		{"unsupported package", ota.Firmware, 6, 0, ota.Failed, "UNSUPPORTED_PACKAGE_TYPE", 0},
		{"invalid URI", ota.Firmware, 7, 0, ota.Failed, "INVALID_URI", 0},
		{"update failed", ota.Firmware, 8, 0, ota.Failed, "UPDATE_FAILED", 0},
		{"unsupported protocol", ota.Firmware, 9, 0, ota.Failed, "UNSUPPORTED_PROTOCOL", 0},
		{"a result of tomorrow", ota.Firmware, 77, 0, ota.Failed, "RESULT 77", 0},
		{"software, storage, once", ota.Software, 50, 1, ota.Updated, "", 1},
		{"software, connection lost", ota.Software, 52, 0, ota.Failed, "CONNECTION_LOST", 0},
		{"software, install, once", ota.Software, 58, 1, ota.Updated, "", 1},
		{"software, package", ota.Software, 54, 0, ota.Failed, "UNSUPPORTED_PACKAGE_TYPE", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 3000)
			x := h.serve(Config{})
			ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
			h.assign(ref, h.add(tt.kind, "1.1.10"))
			c := h.client(x, "d1", tt.kind)
			c.Install, c.Behaves.Fails, c.Result, c.FailTimes = 0, "as told", tt.result, tt.times
			switch {
			case tt.want == ota.Failed && tt.retries > 0:
				c.FailTimes = 99 // and it stays
			case tt.want == ota.Failed:
				c.FailTimes = 0
			}
			h.start(c)
			h.until("the update has ended", func() bool {
				u := h.track(ref, tt.kind).Update
				return u.State == tt.want && (tt.want != ota.Failed || u.Attempt == tt.retries+1)
			})
			u := h.track(ref, tt.kind).Update
			if !strings.Contains(u.Error, tt.text) || h.retries != tt.retries {
				t.Errorf("%s: %q, tried again %d times\n%s", u.State, u.Error, h.retries, strings.Join(h.values, "\n"))
			}
		})
	}
}

// TestLies: a device that says it is updated and runs something else has failed.
func TestLies(t *testing.T) {
	h := newHouse(t, 3000)
	x := h.serve(Config{Settle: 1})
	ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
	h.assign(ref, h.add(ota.Firmware, "1.1.10"))
	c := h.client(x, "d1", ota.Firmware)
	c.Behaves.Lies = "0.9"
	h.play(c)
	h.until("it has failed", func() bool { return h.track(ref, ota.Firmware).Update.State == ota.Failed })
	if u := h.track(ref, ota.Firmware).Update; u.Error != "runs 0.9" {
		t.Errorf("%+v", u)
	}
}

// TestRunsIt: a device that runs the target already downloads nothing, whichever
// way it says so; one whose version only looks alike does.
func TestRunsIt(t *testing.T) {
	says := func(name, version, v3 string) func() (string, string, string) {
		return func() (string, string, string) { return name, version, v3 }
	}
	for _, tt := range []struct {
		name    string
		says    func() (string, string, string)
		tag     string
		updates bool
	}{
		{"by its object", says("app", "1.1.10", "x"), "", false},
		{"by object 3", says("", "", "1.1.10"), "", false},
		{"by the tag", says("", "", "rev-7"), "rev-7", false},
		{"by title and version", says("", "", "app1.1.10"), "", false},
		{"a part of it", says("", "", "1.1.1"), "", true},
		{"more than it", says("", "", "1.1.100"), "", true},
		{"a part of the tag", says("", "", "rev"), "rev-7", true},
		{"another title", says("tool", "1.1.10", "x"), "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 3000)
			x := h.serve(Config{})
			ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
			p := h.add(ota.Firmware, "1.1.10")
			p.Tag = tt.tag
			h.assign(ref, p)
			c := h.client(x, "d1", ota.Firmware)
			c.Says = func(v ota.Version) (string, string, string) {
				if v == c.Target {
					return "app", "1.1.10", "1.1.10"
				}
				return tt.says()
			}
			if !tt.updates {
				c.Runs = ota.Version{Title: "x", Version: "x"}
			}
			h.start(c)
			h.until("UPDATED", func() bool { return h.track(ref, ota.Firmware).Update.State == ota.Updated })
			if n := x.Stats().Pushes; (n > 0) != tt.updates {
				t.Errorf("%d pushes", n)
			}
		})
	}
}

// TestWithdrawn: what is cancelled in the middle ends, and the client hears it.
func TestWithdrawn(t *testing.T) {
	h := newHouse(t, 2_000_000)
	x := h.serve(Config{})
	ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
	p := h.add(ota.Firmware, "1.1.10")
	h.assign(ref, p)
	c := h.client(x, "d1", ota.Firmware)
	stop := h.start(c)
	h.until("it downloads", func() bool { return strings.Contains(h.states(), "DOWNLOADING") })
	h.mu.Lock()
	h.devices[ref].Device.Firmware.Cancel()
	h.mu.Unlock()
	h.say(ref, ota.Reply{Word: ota.SayCancel, Kind: ota.Firmware})
	s := x.reg.device(ref)
	idle := make(chan bool, 1)
	h.until("it is idle", func() bool {
		s.do(func(context.Context) { u := s.kinds[ota.Firmware]; idle <- u.moving == nil && !u.began && u.state == 0 })
		return <-idle
	})
	// And then another package goes on from there.
	h.assign(ref, h.add(ota.Firmware, "1.1.10"))
	h.until("UPDATED", func() bool { return h.track(ref, ota.Firmware).Update.State == ota.Updated })
	stop()
	if !bytes.Equal(c.Received, h.data) {
		t.Errorf("%d bytes came", len(c.Received))
	}
}
