package coap

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
)

// TestDoors: what comes below /in reaches the chain that has a door there, by
// whom it can prove.
func TestDoors(t *testing.T) {
	r := start(t, Config{}, nil, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.Arrived {
			return nil, nil
		}
		switch m.Door {
		case "a":
			return []ota.Reply{{Word: ota.SayBody, Status: 201, Body: []byte(`{"for":"` + string(m.Device) + `"}`)}}, nil
		case "b":
			return []ota.Reply{ota.Refusal(ota.Conflict, "no")}, nil
		}
		return nil, nil
	})
	pattern := func(s string) ota.Pattern {
		p, err := ota.ParsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	r.doors.Use([]ota.Inlet{
		{Name: "a", Node: ota.CoAPIn, Method: "POST", Auth: "none", Pattern: pattern("meters/{serial}")},
		{Name: "b", Node: ota.CoAPIn, Method: "PUT", Auth: "none", Pattern: pattern("valves")},
		{Name: "c", Node: ota.CoAPIn, Method: "POST", Auth: "token", Pattern: pattern("own")},
		{Name: "d", Node: ota.HTTPIn, Method: "POST", Auth: "none", Pattern: pattern("web")},
	})
	put := func(m coapwire.Message) coapwire.Message { m.Code = coapwire.PUT; return m }
	tests := []struct {
		name   string
		m      coapwire.Message
		want   string
		handed string
	}{
		{"a door", post(1, "x", "in", "meters", "7", "?Unit=c"), "2.01 10", "a meters/7 7 c  x"},
		{"with a proof", post(1, "x", "in", "meters", "7", "?token=T1"), "2.01 12", "a meters/7 7  d1 x"},
		{"with a wrong proof", post(1, "x", "in", "meters", "7", "?token=T"), "4.01 0", ""},
		{"a refusal", put(get(1, "in", "valves")), "4.09 2", "b valves    "},
		{"a door that wants a proof", post(1, "x", "in", "own"), "4.01 0", ""},
		{"and gets it", post(1, "x", "in", "own", "?token=T2"), "2.04 0", "c own   d2 x"},
		{"another method", get(1, "in", "valves"), "4.05 0", ""},
		{"no door", get(1, "in", "doors"), "4.04 0", ""},
		{"a door over HTTP", post(1, "x", "in", "web"), "4.04 0", ""},
		{"nothing behind", get(1, "in"), "4.04 0", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(r.events(ota.Arrived))
			if m := r.raw(t).ask(tt.m); describe(m) != tt.want {
				t.Errorf("%s, want %s", describe(m), tt.want)
			}
			handed := ""
			for _, m := range r.events(ota.Arrived)[before:] {
				handed += strings.Join([]string{m.Door, m.Topic, m.Capture["serial"], m.Headers["unit"], string(m.Device), string(m.Body)}, " ")
				if m.Headers["token"] != "" {
					t.Error("a chain sees the token")
				}
			}
			if handed != tt.handed {
				t.Errorf("handed over %q, want %q", handed, tt.handed)
			}
		})
	}
	body := strings.Repeat("x", 5000)
	if a, err := r.dial(t).Post(t.Context(), "in/meters/8", []byte(body)); err != nil || a.Code != coapwire.Created {
		t.Errorf("a large body: %s, %v", a.Code, err)
	}
	if got := r.events(ota.Arrived); string(got[len(got)-1].Body) != body {
		t.Error("a large body came as another")
	}
}

// TestCallDevice: a device is asked where it spoke to us, and answers at once, or
// first says that it has heard.
func TestCallDevice(t *testing.T) {
	r := start(t, Config{Ack: 50 * time.Millisecond}, nil, nil)
	d1 := ota.RefOf("main", "d1")
	if _, err := r.Call(t.Context(), ota.Call{Device: d1, Method: "GET", URL: "x"}); ota.CodeOf(err) != ota.Busy {
		t.Errorf("who is not there: %v", err)
	}
	x := r.raw(t)
	if m := x.ask(post(1, `{"a":1}`, "api", "v1", "T1", "telemetry")); m == nil || m.Code != coapwire.Created {
		t.Fatal(describe(m))
	}
	type result struct {
		got ota.Called
		err error
	}
	call := func(c ota.Call) chan result {
		c.Device = d1
		out := make(chan result, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			got, err := r.Call(ctx, c)
			out <- result{got, err}
		}()
		return out
	}
	out := call(ota.Call{Method: "PUT", URL: "valve/1?fast=1&a", Body: []byte("open")})
	m := x.next(5 * time.Second)
	if m == nil || m.Code != coapwire.PUT || m.Path() != "valve/1" || string(m.Payload) != "open" {
		t.Fatalf("asked %s", describe(m))
	}
	if again := x.next(5 * time.Second); again == nil || again.ID != m.ID { // it was lost, perhaps
		t.Errorf("not said again: %s", describe(again))
	}
	x.send((&coapwire.Message{Type: coapwire.ACK, Code: coapwire.Changed, ID: m.ID, Token: m.Token, Payload: []byte("done")}).Append(nil))
	if a := <-out; a.err != nil || a.got.Status != 204 || string(a.got.Body) != "done" {
		t.Errorf("%+v", a)
	}
	out = call(ota.Call{Method: "GET", URL: "level"})
	m = x.next(5 * time.Second)
	x.send((&coapwire.Message{Type: coapwire.ACK, ID: m.ID}).Append(nil))
	x.send((&coapwire.Message{Type: coapwire.CON, Code: coapwire.NotFound, ID: 99, Token: m.Token}).Append(nil))
	if a := <-out; a.err != nil || a.got.Status != 404 {
		t.Errorf("%+v", a)
	}
	if a := <-call(ota.Call{Method: "SING", URL: "x"}); ota.CodeOf(a.err) != ota.Invalid {
		t.Errorf("%+v", a)
	}
	if a := <-call(ota.Call{Method: "GET", URL: "silence"}); ota.CodeOf(a.err) != ota.Busy {
		t.Errorf("%+v", a)
	}
}
