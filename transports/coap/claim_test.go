package coap

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// office makes devices known and lets them be claimed, by what the body says.
type office struct{ asked atomic.Int32 }

func (o *office) Provision(_ context.Context, body []byte, address string) ([]byte, bool, error) {
	o.asked.Add(1)
	switch string(body) {
	case "good":
		return []byte(`{"status":"SUCCESS"}`), address != "", nil
	case "bad":
		return []byte(`{"status":"NOT_FOUND"}`), false, nil
	case "often":
		return nil, false, transports.ErrTooMany
	}
	return nil, false, ota.Errorf(ota.Invalid, "read", "what is that")
}

func (o *office) Claim(_ context.Context, device ota.Ref, body []byte) error {
	if string(body) != "mine" || device.ID != "d1" {
		return ota.Errorf(ota.Invalid, "read", "what is that")
	}
	return nil
}

func TestProvisionAndClaim(t *testing.T) {
	r := start(t, Config{}, nil, nil)
	o := r.office
	for _, tt := range []struct {
		name string
		m    coapwire.Message
		want string
	}{
		{"made known", post(1, "good", "api", "v1", "provision"), "2.01 20"},
		{"not made known", post(1, "bad", "api", "v1", "provision"), "4.00 22"},
		{"too often", post(1, "often", "api", "v1", "provision"), "4.29 0"},
		{"what cannot be read", post(1, "?", "api", "v1", "provision"), "4.00 18"},
		{"asked", get(1, "api", "v1", "provision"), "4.05 0"},
		{"claimed", post(1, "mine", "api", "v1", "T1", "claim"), "2.01 0"},
		{"a claim that cannot be read", post(1, "?", "api", "v1", "T1", "claim"), "4.00 18"},
		{"a claim of nobody", post(1, "mine", "api", "v1", "T", "claim"), "4.01 0"},
		{"a claim asked for", get(1, "api", "v1", "T1", "claim"), "4.00 24"},
	} {
		if m := r.raw(t).ask(tt.m); describe(m) != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, describe(m), tt.want)
		}
	}
	before := o.asked.Load()
	x := r.raw(t)
	for range 3 { // lost, and said again: it is made known once
		if m := x.ask(post(9, "good", "api", "v1", "provision")); describe(m) != "2.01 20" {
			t.Errorf("again: %s", describe(m))
		}
	}
	if n := o.asked.Load() - before; n != 1 {
		t.Errorf("made known %d times", n)
	}
}

// TestStrangersCostNothing: who shows no token, and not that he hears us, gets no
// exchange.
func TestStrangersCostNothing(t *testing.T) {
	r := start(t, Config{}, nil, nil)
	o := r.office
	p, err := ota.ParsePattern("meters")
	if err != nil {
		t.Fatal(err)
	}
	r.doors.Use([]ota.Inlet{{Name: "a", Node: ota.CoAPIn, Method: "POST", Auth: "none", Pattern: p}})
	for i := range 100 {
		x := r.raw(t)
		x.proves = false
		x.send(func() []byte { m := post(1, "good", "api", "v1", "provision"); return m.Append(nil) }())
		x.send(func() []byte { m := post(2, fmt.Sprint(i), "in", "meters"); return m.Append(nil) }())
		if m := x.next(5 * time.Second); m == nil || m.Code != coapwire.Empty {
			t.Fatalf("came %s", describe(m))
		}
	}
	if s := r.Stats(); s.Sessions != 0 || o.asked.Load() != 0 || len(r.events(ota.Arrived)) != 0 {
		t.Errorf("%+v, %d asked", s, o.asked.Load())
	}
}
