package lwm2m

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/ota"
)

// TestCalls: what a chain asks of a client is answered in its words.
func TestCalls(t *testing.T) {
	h := newHouse(t, 100)
	x := h.serve(Config{})
	ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
	h.start(h.client(x, "d1", ota.Firmware))
	h.until("it is registered", func() bool { return x.reg.device(ref) != nil })
	for i, tt := range []struct{ method, params, want string }{
		{"Read", `{"id":"/3/0/9"}`, `{"result":"SUCCESS","value":87}`},
		{"Read", `{"id":"/3_1.1/0/0"}`, `{"result":"SUCCESS","value":"Windlass simulation"}`},
		{"Read", `{"id":"/3/0"}`, `{"result":"SUCCESS","value":{"0":"Windlass simulation","3":"1.1.1","9":87}}`},
		{"Read", `{"id":"/4/0"}`, `{"error":"GET /4/0: the client answers 4.04","result":"NOTFOUND"}`},
		{"Read", `{"id":"x"}`, `{"error":"lwm2m: \"x\" is no path of an object","result":"BAD_REQUEST"}`},
		{"Read", ``, `{"error":"params: id is no path","result":"BAD_REQUEST"}`},
		{"Observe", `{"id":"/5/0/3"}`, `{"result":"SUCCESS","value":0}`},
		{"Execute", `{"id":"/3/0/4"}`, `{"error":"POST /3/0/4: the client answers 4.05","result":"METHODNOTALLOWED"}`},
		{"Write", `{"id":"/3/0/14","value":"+02:00"}`, `{"error":"PUT /3/0/14: the client answers 4.05","result":"METHODNOTALLOWED"}`},
		{"Write", `{"id":"/3/0/14"}`, `{"error":"params: there is no value","result":"BAD_REQUEST"}`},
		{"Write", `{"id":"/3/0","value":{"13":5,"14":"x"}}`, `{"error":"PUT /3/0: the client answers 4.05","result":"METHODNOTALLOWED"}`},
		{"WriteAttributes", `{"id":"/3/0/9","attributes":{"pmin":10,"hack":1}}`, `{"error":"params: there is no attribute \"hack\"","result":"BAD_REQUEST"}`},
		{"DiscoverAll", ``, `{"result":"SUCCESS","value":"\u003c/1/0\u003e,\u003c/3/0\u003e,\u003c/5/0\u003e,\u003c/9/0\u003e"}`},
		{"Dance", `{"id":"/3/0"}`, `{"error":"there is no method \"Dance\" of LwM2M","result":"BAD_REQUEST"}`},
	} {
		h.say(ref, ota.Reply{Word: ota.SayRPC, Method: tt.method, Call: int64(i + 1), Body: []byte(tt.params)})
		var got ota.Message
		h.until("an answer to "+tt.method, func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.answers) > i {
				got = h.answers[i]
			}
			return len(h.answers) > i
		})
		if diff := cmp.Diff(tt.want, string(got.Result)); diff != "" || got.Call != int64(i+1) || got.Method != tt.method {
			t.Errorf("%s %s: %s", tt.method, tt.params, diff)
		}
	}
	if h.say(ref, ota.Reply{Word: ota.SayAttributes, Shared: []byte(`{"a":1}`)}); h.router.Lost() == 0 {
		t.Error("attributes were taken, which have no meaning here")
	}
}

// TestObserved: resources that the profile names are kept.
func TestObserved(t *testing.T) {
	h := newHouse(t, 100)
	h.profile.LwM2M = &ota.LwM2MSettings{Telemetry: map[string]string{"/3/0/9": "battery", "/77/0/1": "none", "x": "nothing"}}
	x := h.serve(Config{})
	h.device("d1", ota.Credentials{Endpoint: "d1"})
	h.start(h.client(x, "d1", ota.Firmware))
	h.until("the battery is known", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return strings.Contains(strings.Join(h.values, " "), `{"battery":87}`)
	})
}

// TestAsleep: a client in queue mode is told of an offer when it wakes, and is
// left alone until then.
func TestAsleep(t *testing.T) {
	h := newHouse(t, 20_000)
	x := h.serve(Config{Awake: time.Second})
	ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
	c := h.client(x, "d1", ota.Firmware)
	c.Queue, c.Awake, c.Update = true, 2*time.Second, 4*time.Second // a second in which a busy machine may be late
	h.start(c)
	var s *session
	h.until("it sleeps", func() bool {
		s = x.reg.device(ref)
		return s != nil && time.Since(s.through().conn.Heard()) > 2500*time.Millisecond
	})
	h.assign(ref, h.add(ota.Firmware, "1.1.10"))
	h.until("UPDATED", func() bool { return h.track(ref, ota.Firmware).Update.State == ota.Updated })
	if n := x.Stats().Stalled; n > 0 {
		t.Errorf("%d transfers stalled", n)
	}
}

// FuzzAsked: whatever a peer asks is answered, or passed over.
func FuzzAsked(f *testing.F) {
	f.Add([]byte("\x41\x02\x00\x01t\xb2rdHep=d1\xff</1/0>"))
	f.Add([]byte("\x41\x01\x00\x01t\xb2fw\x04abcd\xc1\x06"))
	f.Add([]byte("\x40\x04\x00\x02\xb2rd\x03abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &house{t: t, devices: map[ota.Ref]*ota.Home{}, packages: map[ota.PackageID]*ota.Package{}, profile: &ota.Profile{}}
		x := &Transport{c: Config{}.filled(), d: Deps{Auth: nobody{}, Facts: h, Key: []byte("0123456789abcdef")}, ctx: context.Background()}
		x.reg.init()
		p := &peer{addr: "127.0.0.1:1"}
		p.conn = coapx.New(func([]byte) error { return nil }, func(ctx context.Context, r coapx.Asked) *coapx.Message { return x.asked(ctx, p, r) }, coapx.Config{AckTimeout: time.Millisecond})
		p.conn.Receive(b)
		p.conn.Close()
	})
}

// nobody is known to it.
type nobody struct{}

func (nobody) Endpoint(context.Context, string, string) (ota.Ref, ota.Credentials, error) {
	return ota.Ref{}, ota.Credentials{}, ota.Errorf(ota.NotFound, "test", "nobody")
}

func (nobody) PSK(context.Context, string, string) (ota.Ref, []byte, error) {
	return ota.Ref{}, nil, ota.Errorf(ota.NotFound, "test", "nobody")
}

func (nobody) Certificate(context.Context, []*x509.Certificate, string) (ota.Ref, error) {
	return ota.Ref{}, ota.Errorf(ota.NotFound, "test", "nobody")
}
