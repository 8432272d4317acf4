package transporttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Run holds a wire to all facts, with blobs in local files and elsewhere.
func Run(t *testing.T, w Wire) {
	for _, f := range []struct {
		name string
		fact func(t *testing.T, w Wire)
	}{
		{"acknowledges after the effect", ackAfterEffect},
		{"does not acknowledge what failed", failureIsSeen},
		{"keeps the order of a device", keepsOrder},
		{"says who speaks and from where", saysWhoSpeaks},
		{"keeps values as written", keepsValues},
		{"hands over nothing it cannot read", refusesGarbage},
		{"lets in nobody without a token", refusesStrangers},
		{"answers requests for attributes", answersRequests},
		{"sends pieces from local files", func(t *testing.T, w Wire) { sendsPieces(t, w, false) }},
		{"sends pieces from elsewhere", func(t *testing.T, w Wire) { sendsPieces(t, w, true) }},
		{"pushes to the device alone", pushes},
		{"forgets who hung up", forgets},
		{"ends what it has begun", drains},
	} {
		t.Run(f.name, func(t *testing.T) { f.fact(t, w) })
	}
}

// world is one server with all that happened at its door.
type world struct {
	World
	Server

	mu     sync.Mutex
	handed []ota.Message
}

func begin(t *testing.T, w Wire, blobs ota.Blobs, answer transports.HandlerFunc) *world {
	t.Helper()
	x := &world{}
	if blobs == nil {
		blobs = NewFiles(t, false)
	}
	x.World = World{
		Auth: transports.NewAuthenticator(Tokens{}, transports.Guard{}), Router: transports.NewRouter(nil, Tokens{}), Blobs: blobs,
		Handler: transports.HandlerFunc(func(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
			x.mu.Lock()
			x.handed = append(x.handed, m)
			x.mu.Unlock()
			return answer(ctx, m)
		}),
	}
	x.Server = w(t, x.World)
	return x
}

func (x *world) dial(t *testing.T, token string) Device {
	t.Helper()
	d, err := x.Dial(t, token)
	if err != nil {
		t.Fatalf("token %s: %v", token, err)
	}
	return d
}

// of returns what was handed over of some events.
func (x *world) of(events ...ota.Event) []ota.Message {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []ota.Message
	for _, m := range x.handed {
		for _, e := range events {
			if m.Event == e {
				out = append(out, m)
			}
		}
	}
	return out
}

func quiet(context.Context, ota.Message) ([]ota.Reply, error) { return nil, nil }

func ackAfterEffect(t *testing.T, w Wire) {
	var mu sync.Mutex
	stored := 0
	x := begin(t, w, nil, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event == ota.Telemetry || m.Event == ota.AttributesReported {
			<-time.After(20 * time.Millisecond) // a store that takes its time
			mu.Lock()
			stored++
			mu.Unlock()
		}
		return nil, nil
	})
	d := x.dial(t, "T1")
	for i := range 3 {
		if d.Telemetry(`{"a":1}`) != 1 || !d.Attributes(`{"a":1}`) {
			t.Fatal("not acknowledged")
		}
		mu.Lock()
		if stored != 2*(i+1) {
			t.Errorf("%d of %d effects are there when the acknowledgement is", stored, 2*(i+1))
		}
		mu.Unlock()
	}
	if d.Telemetry(`[{"a":1},{"a":2},{"a":3}]`) != 1 {
		t.Fatal("a list is not acknowledged")
	}
	mu.Lock()
	defer mu.Unlock()
	if stored != 9 {
		t.Errorf("a list was acknowledged after %d of its 3 effects", stored-6)
	}
}

func failureIsSeen(t *testing.T, w Wire) {
	x := begin(t, w, nil, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if strings.Contains(string(m.Values), "2") {
			return nil, ota.Errorf(ota.Busy, "commit", "the store is away")
		}
		return nil, nil
	})
	if x.dial(t, "T1").Telemetry(`{"a":2}`) != 0 {
		t.Error("what is not stored was acknowledged")
	}
	if x.dial(t, "T1").Telemetry(`[{"a":1},{"a":2},{"a":3}]`) != 0 {
		t.Error("a list that is stored in part was acknowledged")
	}
	for _, m := range x.of(ota.Telemetry) {
		if string(m.Values) == `{"a":3}` {
			t.Error("a list went on behind what failed")
		}
	}
	if x.dial(t, "T1").Telemetry(`{"a":1}`) != 1 {
		t.Error("the device cannot go on")
	}
}

func keepsOrder(t *testing.T, w Wire) {
	x := begin(t, w, nil, func(context.Context, ota.Message) ([]ota.Reply, error) {
		<-time.After(time.Duration(rand.N(300)) * time.Microsecond)
		return nil, nil
	})
	var bodies []string
	for i := range 40 {
		bodies = append(bodies, fmt.Sprintf(`[{"n":%d},{"n":%d}]`, 2*i, 2*i+1))
	}
	var wg sync.WaitGroup
	for _, token := range []string{"T1", "T2", "T3"} {
		d := x.dial(t, token)
		wg.Go(func() {
			if n := d.Telemetry(bodies...); n != len(bodies) {
				t.Errorf("%s: %d of %d acknowledged", token, n, len(bodies))
			}
		})
	}
	wg.Wait()
	next := map[ota.DeviceID]int{}
	for _, m := range x.of(ota.Telemetry) {
		if want := fmt.Sprintf(`{"n":%d}`, next[m.Device]); string(m.Values) != want {
			t.Fatalf("%s: %s came where %s was due", m.Device, m.Values, want)
		}
		next[m.Device]++
	}
}

func saysWhoSpeaks(t *testing.T, w Wire) {
	x := begin(t, w, nil, quiet)
	for _, token := range []string{"T1", "T2", "A1"} {
		x.dial(t, token).Telemetry(`{"by":"` + token + `"}`)
	}
	got := x.of(ota.Telemetry)
	if len(got) != 3 {
		t.Fatalf("%d messages, want 3", len(got))
	}
	for i, want := range []ota.Ref{ota.RefOf("main", "d1"), ota.RefOf("main", "d2"), ota.RefOf("acme", "d1")} {
		m := got[i]
		if ota.RefOf(m.Tenant, m.Device) != want || m.Transport != x.Name || !strings.HasPrefix(m.Address, "127.0.0.1") {
			t.Errorf("%s was handed over as %s of %s, over %q from %q", m.Values, m.Device, m.Tenant, m.Transport, m.Address)
		}
		if m.Began != nil || m.Cause != "" || m.Rollout != "" || m.Key != "" {
			t.Errorf("a device set what we alone set: %+v", m)
		}
	}
}

func keepsValues(t *testing.T, w Wire) {
	x := begin(t, w, nil, quiet)
	d := x.dial(t, "T1")
	const body = `{"v":1.10,"text":"1.10","big":12345678901234567890,"empty":"","o":{"x":[1,null]}}`
	if d.Telemetry(body, `{"ts":1700000000123,"values":`+body+`}`, `{"a":null}`) != 3 || !d.Attributes(body) {
		t.Fatal("not acknowledged")
	}
	got := x.of(ota.Telemetry, ota.AttributesReported)
	if len(got) != 4 {
		t.Fatalf("%d messages, want 4", len(got))
	}
	for _, i := range []int{0, 1, 3} {
		if string(got[i].Values) != body {
			t.Errorf("message %d: %s", i, got[i].Values)
		}
	}
	if got[1].TS.UnixMilli() != 1700000000123 || !got[0].TS.IsZero() {
		t.Errorf("times are %v and %v", got[0].TS, got[1].TS)
	}
	if string(got[2].Values) != `{}` {
		t.Errorf("nulls came as %s", got[2].Values)
	}
}

func refusesGarbage(t *testing.T, w Wire) {
	x := begin(t, w, nil, quiet)
	for _, body := range []string{``, `{`, `{"a":}`, `nothing`, `[1]`, `{"ts":"x","values":{}}`, strings.Repeat("[", 50_000), "\x00\xff"} {
		if x.dial(t, "T1").Telemetry(body) != 0 {
			t.Errorf("%.20q was acknowledged", body)
		}
	}
	if x.dial(t, "T1").Attributes(`[{"a":1}]`) {
		t.Error("a list of attributes was acknowledged")
	}
	if got := x.of(ota.Telemetry, ota.AttributesReported); len(got) != 0 {
		t.Errorf("handed over: %+v", got)
	}
}

func refusesStrangers(t *testing.T, w Wire) {
	x := begin(t, w, nil, quiet)
	for _, token := range []string{"nobody", "T", "t1", "T1 ", strings.Repeat("T", 1000)} {
		d, err := x.Dial(t, token)
		if err == nil && (d.Telemetry(`{"a":1}`) != 0 || d.Attributes(`{"a":1}`)) {
			t.Errorf("%.10q was let in", token)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.handed) != 0 {
		t.Errorf("handed over: %+v", x.handed)
	}
}

func answersRequests(t *testing.T, w Wire) {
	x := begin(t, w, nil, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.AttributesRequested {
			return nil, nil
		}
		r := ota.Reply{Word: ota.SayAttributes, Tenant: m.Tenant, Device: m.Device}
		if m.Device == "d1" {
			r.Client, r.Shared = []byte(`{"v":1.10}`), []byte(`{"fw_version":"1.0","fw_size":3}`)
		}
		return []ota.Reply{r}, nil
	})
	got, err := x.dial(t, "T1").Request("v", "fw_version,fw_size")
	if err != nil || got != `{"client":{"v":1.10},"shared":{"fw_version":"1.0","fw_size":3}}` {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err = x.dial(t, "T2").Request("", ""); err != nil || got != `{}` {
		t.Errorf("a device without attributes got %s, %v", got, err)
	}
	asked := x.of(ota.AttributesRequested)
	if len(asked) != 2 {
		t.Fatalf("%d requests, want 2", len(asked))
	}
	if m := asked[0]; !reflect.DeepEqual(m.ClientKeys, []string{"v"}) || !reflect.DeepEqual(m.SharedKeys, []string{"fw_version", "fw_size"}) {
		t.Errorf("asked for %q and %q", m.ClientKeys, m.SharedKeys)
	}
	if m := asked[1]; m.ClientKeys != nil || m.SharedKeys != nil {
		t.Errorf("everything is %q and %q", m.ClientKeys, m.SharedKeys)
	}
}
