package coap

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

func push(d ota.DeviceID, w ota.Reply) []ota.Reply {
	w.Tenant, w.Device, w.Push = "main", d, true
	return []ota.Reply{w}
}

func shared(body string) transports.HandlerFunc {
	return func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event == ota.AttributesRequested {
			return []ota.Reply{{Word: ota.SayAttributes, Client: []byte(`{"own":1}`), Shared: []byte(body)}}, nil
		}
		return nil, nil
	}
}

// TestObservers: ten devices hear first what is, then what changes, each its own.
func TestObservers(t *testing.T) {
	r := start(t, Config{}, nil, shared(`{"a":1}`))
	var wg sync.WaitGroup
	for i := range 9 {
		c, id := r.dial(t), fmt.Sprint(i+1)
		first, err := c.Observe(t.Context(), "api/v1/T"+id+"/attributes")
		if err != nil || string(first) != `{"a":1}` {
			t.Fatalf("device %s: %s, %v", id, first, err)
		}
		until(t, "the session is told of", func() bool { return len(r.events(ota.Connected)) == i+1 })
		wg.Go(func() {
			for n := range 20 {
				if heard, err := r.router.Send(t.Context(), push(ota.DeviceID("d"+id), ota.Reply{Word: ota.SayOffer, Shared: fmt.Appendf(nil, `{"n":"%s.%d"}`, id, n)})); !heard || err != nil {
					t.Errorf("heard %v, %v", heard, err)
				}
				want := fmt.Sprintf(`{"n":"%s.%d"}`, id, n)
				if got, err := c.Next(t.Context(), 10*time.Second); err != nil || string(got) != want {
					t.Errorf("device %s heard %s, %v, want %s", id, got, err, want)
				}
			}
		})
	}
	wg.Wait()
	m := r.events(ota.Connected)[0]
	if m.Session == (ota.SessionID{}) || m.Transport != Name || m.Device != "d1" {
		t.Errorf("connected: %+v", m)
	}
}

// TestCalls: what is asked of a device comes as a notification, and its answer
// by a request.
func TestCalls(t *testing.T) {
	r := start(t, Config{}, nil, nil)
	c := r.dial(t)
	if _, err := c.Observe(t.Context(), "api/v1/T1/rpc"); err != nil {
		t.Fatal(err)
	}
	if heard, _ := r.router.Send(t.Context(), push("d1", ota.Reply{Word: ota.SayOffer, Shared: []byte(`{}`)})); heard {
		t.Error("an offer was heard by who observes calls alone")
	}
	for _, call := range []ota.Reply{{Word: ota.SayRPC, Call: 7, Method: "open", Body: []byte(`{"v":1}`)}, {Word: ota.SayRPC, Method: "shut"}} {
		if heard, _ := r.router.Send(t.Context(), push("d1", call)); !heard {
			t.Error("a call was not heard")
		}
	}
	for _, want := range []string{`{"id":7,"method":"open","params":{"v":1}}`, `{"id":1,"method":"shut","params":{}}`} {
		if got, err := c.Next(t.Context(), 10*time.Second); err != nil || string(got) != want {
			t.Errorf("heard %s, %v, want %s", got, err, want)
		}
	}
	if a, err := c.Post(t.Context(), "api/v1/T1/rpc/7", []byte(`{"done":true}`)); err != nil || a.Code != coapwire.Created {
		t.Errorf("the answer: %s, %v", a.Code, err)
	}
	if got := r.events(ota.RPCAnswered); len(got) != 1 || got[0].Call != 7 || string(got[0].Result) != `{"done":true}` {
		t.Errorf("answered: %+v", got)
	}
}

// TestLargeNotification comes whole, and so does one that begins an observation.
func TestLargeNotification(t *testing.T) {
	body := fmt.Sprintf(`{"text":"%s"}`, noiseText(4000))
	r := start(t, Config{}, nil, shared(body))
	c := r.dial(t)
	first, err := c.Observe(t.Context(), "api/v1/T1/attributes")
	if err != nil || string(first) != body {
		t.Fatalf("%d bytes, %v, want %d", len(first), err, len(body))
	}
	for n := range 3 {
		change := fmt.Sprintf(`{"%d":"%s"}`, n, noiseText(600+n*700))
		if heard, _ := r.router.Send(t.Context(), push("d1", ota.Reply{Word: ota.SayAttributes, Shared: []byte(change)})); !heard {
			t.Fatal("not heard")
		}
		if got, err := c.Next(t.Context(), 10*time.Second); err != nil || string(got) != change {
			t.Errorf("heard %d bytes, %v, want %d", len(got), err, len(change))
		}
	}
}

// TestEnds: an observation ends when the device says so, rejects a notification
// or does not acknowledge any.
func TestEnds(t *testing.T) {
	observe := func(x *raw) {
		m := get(1, "api", "v1", "T1", "attributes")
		m.Options = append([]coapwire.Option{{Num: coapwire.Observe}}, m.Options...)
		a := x.ask(m)
		if a == nil || a.Code != coapwire.Content {
			t.Fatalf("observe: %s", describe(a))
		}
		if _, ok := a.Get(coapwire.Observe); !ok {
			t.Fatal("the answer is no observation's")
		}
	}
	say := func(r *rig) {
		if heard, err := r.router.Send(t.Context(), push("d1", ota.Reply{Word: ota.SayAttributes, Shared: []byte(`{"b":2}`)})); !heard || err != nil {
			t.Fatalf("heard %v, %v", heard, err)
		}
	}
	ended := func(t *testing.T, r *rig) {
		until(t, "the session is closed", func() bool { return r.router.Sessions() == 0 && len(r.events(ota.Disconnected)) == 1 })
		if a, b := r.events(ota.Connected), r.events(ota.Disconnected); len(a) != 1 || len(b) != 1 || a[0].Session != b[0].Session {
			t.Errorf("%+v and %+v", a, b)
		}
	}
	t.Run("said", func(t *testing.T) {
		r := start(t, Config{}, nil, shared(`{"a":1}`))
		x := r.raw(t)
		observe(x)
		m := get(2, "api", "v1", "T1", "attributes")
		m.Token = []byte{0, 1}
		m.Options = append([]coapwire.Option{{Num: coapwire.Observe, Value: []byte{1}}}, m.Options...)
		if a := x.ask(m); a == nil || a.Code != coapwire.Content {
			t.Errorf("the end: %s", describe(a))
		}
		ended(t, r)
	})
	t.Run("rejected", func(t *testing.T) {
		r := start(t, Config{}, nil, shared(`{"a":1}`))
		x := r.raw(t)
		observe(x)
		say(r)
		m := x.next(5 * time.Second)
		if m == nil || m.Type != coapwire.CON || string(m.Payload) != `{"b":2}` {
			t.Fatalf("%s", describe(m))
		}
		x.send((&coapwire.Message{Type: coapwire.RST, ID: m.ID}).Append(nil))
		ended(t, r)
	})
	t.Run("not acknowledged", func(t *testing.T) {
		r := start(t, Config{Ack: 20 * time.Millisecond}, nil, shared(`{"a":1}`))
		x := r.raw(t)
		observe(x)
		say(r)
		id := uint16(0)
		for n := range 5 { // said, and four times again
			m := x.next(5 * time.Second)
			if m == nil || n > 0 && m.ID != id {
				t.Fatalf("time %d: %s", n, describe(m))
			}
			id = m.ID
		}
		ended(t, r)
	})
	t.Run("the server stops", func(t *testing.T) {
		r := start(t, Config{}, nil, shared(`{"a":1}`))
		observe(r.raw(t))
		until(t, "the session is told of", func() bool { return len(r.events(ota.Connected)) == 1 })
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		ended(t, r)
	})
}

// TestPushesComeTogether: what waits for a device that has not acknowledged is
// said in one.
func TestPushesComeTogether(t *testing.T) {
	r := start(t, Config{}, nil, shared(`{"a":1}`))
	x := r.raw(t)
	m := get(1, "api", "v1", "T1", "attributes")
	m.Options = append([]coapwire.Option{{Num: coapwire.Observe}}, m.Options...)
	x.ask(m)
	say := func(n int) {
		if heard, _ := r.router.Send(t.Context(), push("d1", ota.Reply{Word: ota.SayAttributes, Shared: fmt.Appendf(nil, `{"n":%d,"k%d":1}`, n, n)})); !heard {
			t.Errorf("push %d was not heard", n)
		}
	}
	say(0)
	first := x.next(5 * time.Second)
	if first == nil || string(first.Payload) != `{"n":0,"k0":1}` {
		t.Fatal(describe(first))
	}
	say(1)
	say(2)
	x.send((&coapwire.Message{Type: coapwire.ACK, ID: first.ID}).Append(nil))
	if m := x.next(5 * time.Second); m == nil || string(m.Payload) != `{"k1":1,"n":2,"k2":1}` {
		t.Errorf("came %s: %s", describe(m), m.Payload)
	}
}
