package coap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
)

// TestAnswers holds requests against the codes of ThingsBoard's CoAP device API.
func TestAnswers(t *testing.T) {
	image := noise(2500)
	r := start(t, Config{}, image, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		switch {
		case m.Event == ota.ChunkRequested:
			return []ota.Reply{ota.Refusal(ota.NotFound, "")}, nil
		case m.Event == ota.AttributesRequested && m.Device == "d1":
			return []ota.Reply{{Word: ota.SayAttributes, Client: []byte(`{"a":1}`), Shared: []byte(`{"fw_title":"pump"}`)}}, nil
		case m.Event == ota.RPCRequested:
			return []ota.Reply{{Word: ota.SayBody, Body: []byte(`{"ok":true}`)}}, nil
		case m.Event == ota.Telemetry && m.Device != "d1":
			return nil, map[ota.DeviceID]error{
				"d3": ota.Errorf(ota.Busy, "commit", "store"), "d4": errors.New("secret"), "d5": ota.Errorf(ota.Conflict, "chain", "no"), "d6": ota.Errorf(ota.Invalid, "chain", "no"),
			}[m.Device]
		}
		return nil, nil
	})
	tests := []struct {
		name string
		m    coapwire.Message
		want string
	}{
		{"telemetry", post(1, `{"a":1}`, "api", "v1", "T1", "telemetry"), "2.01 0"},
		{"attributes", post(1, `{"a":1}`, "api", "v1", "T1", "attributes"), "2.01 0"},
		{"a list of telemetry", post(1, `[{"a":1},{"ts":1,"values":{"b":2}}]`, "api", "v1", "T1", "telemetry"), "2.01 0"},
		{"no JSON", post(1, `{"a"`, "api", "v1", "T1", "telemetry"), "4.00"},
		{"no body", post(1, ``, "api", "v1", "T1", "telemetry"), "4.00"},
		{"attributes are no list", post(1, `[{"a":1}]`, "api", "v1", "T1", "attributes"), "4.00"},
		{"get attributes", get(1, "api", "v1", "T1", "attributes", "?clientKeys=a", "?sharedKeys=fw_title"), `2.05 47`},
		{"get attributes without any", get(1, "api", "v1", "T2", "attributes"), "4.04 0"},
		{"get telemetry", get(1, "api", "v1", "T1", "telemetry"), "4.00"},
		{"get calls plainly", get(1, "api", "v1", "T1", "rpc"), "4.00"},
		{"no feature", get(1, "api", "v1", "T1"), "4.00"},
		{"unknown feature", get(1, "api", "v1", "T1", "weather"), "4.00"},
		{"no token", get(1, "api", "v1"), "4.00"},
		{"unknown token", post(1, `{"a":1}`, "api", "v1", "nobody", "telemetry"), "4.01"},
		{"empty token", post(1, `{"a":1}`, "api", "v1", "", "telemetry"), "4.01"},
		{"a call", post(1, `{"method":"getTime","params":{}}`, "api", "v1", "T1", "rpc"), "2.05 11"},
		{"a call without a method", post(1, `{}`, "api", "v1", "T1", "rpc"), "4.00"},
		{"an answer to a call", post(1, `{"x":1}`, "api", "v1", "T1", "rpc", "7"), "2.01 0"},
		{"an answer to no call", post(1, `{"x":1}`, "api", "v1", "T1", "rpc", "x"), "4.00"},
		{"claim", post(1, `{}`, "api", "v1", "T1", "claim"), "4.00"},
		{"provision", post(1, `{}`, "api", "v1", "provision"), "4.00"},
		{"elsewhere", get(1, "weather"), "4.04"},
		{"discovery", get(1, ".well-known", "core"), "4.04"},
		{"the store is away", post(1, `{"a":1}`, "api", "v1", "T3", "telemetry"), "5.03"},
		{"a bug of ours", post(1, `{"a":1}`, "api", "v1", "T4", "telemetry"), "5.00 14"},
		{"a conflict", post(1, `{"a":1}`, "api", "v1", "T5", "telemetry"), "4.09"},
		{"refused by a chain", post(1, `{"a":1}`, "api", "v1", "T6", "telemetry"), "4.00"},
		{"another method", coapwire.Message{Type: coapwire.CON, Code: coapwire.PUT, ID: 1, Options: get(1, "api", "v1", "T1", "attributes").Options}, "4.05"},

		{"firmware begins", get(1, "fw", "T1"), "2.05 1024 block 0/true/1024"},
		{"software begins", get(1, "sw", "T1", "?title=pump", "?version=1.10"), "2.05 1024 block 0/true/1024"},
		{"the last block", block2(get(1, "fw", "T1"), 2, 6), "2.05 452 block 2/false/1024"},
		{"small blocks", block2(get(1, "fw", "T1"), 156, 0), "2.05 4 block 156/false/16"},
		{"a block past the end", block2(get(1, "fw", "T1"), 3, 6), "4.00"},
		{"a block of a wrong size", block2(get(1, "fw", "T1"), 0, 7), "4.00"},
		{"a chunk", get(1, "fw", "T1", "?title=pump", "?version=1.10", "?size=1000", "?chunk=1"), "2.05 1000"},
		{"the last chunk", get(1, "fw", "T1", "?size=1000", "?chunk=2"), "2.05 500"},
		{"a chunk past the end", get(1, "fw", "T1", "?size=1000", "?chunk=3"), "2.05 0"},
		{"a chunk past the end as a block", block2(get(1, "fw", "T1", "?size=1250", "?chunk=2"), 0, 6), "2.05 0 block 0/false/1024"},
		{"a large chunk", get(1, "fw", "T1", "?size=2048", "?chunk=0"), "2.05 1024 block 0/true/1024"},
		{"its second block", block2(get(1, "fw", "T1", "?size=2048", "?chunk=0"), 1, 6), "2.05 1024 block 1/false/1024"},
		{"its third", block2(get(1, "fw", "T1", "?size=2048", "?chunk=0"), 2, 6), "4.00"},
		{"the tail of a large chunk", block2(get(1, "fw", "T1", "?size=2048", "?chunk=1"), 0, 6), "2.05 452 block 0/false/1024"},
		{"size 0 is everything", get(1, "fw", "T1", "?size=0", "?chunk=9"), "2.05 1024 block 0/true/1024"},
		{"a negative size is everything", get(1, "fw", "T1", "?size=-1", "?chunk=9"), "2.05 1024 block 0/true/1024"},
		{"a negative chunk", get(1, "fw", "T1", "?size=1000", "?chunk=-1"), "2.05 0"},
		{"size times chunk beyond 64 bits", get(1, "fw", "T1", "?size=9223372036854775807", "?chunk=9223372036854775807"), "2.05 0"},
		{"a size beyond 64 bits", get(1, "fw", "T1", "?size=9223372036854775808"), "4.00"},
		{"a size of 2^31", get(1, "fw", "T1", "?size=2147483648", "?chunk=1"), "2.05 0"},
		{"a size that is no number", get(1, "fw", "T1", "?size=large"), "4.00"},
		{"another title", get(1, "fw", "T1", "?title=tap"), "4.00"},
		{"another version", get(1, "fw", "T1", "?title=pump", "?version=1.1"), "4.00"},
		{"nothing assigned", get(1, "fw", "T2"), "4.04 0"},
		{"no token for firmware", get(1, "fw"), "4.01"},
		{"unknown token for firmware", get(1, "fw", "nobody"), "4.01"},
		{"post to firmware", post(1, ``, "fw", "T1"), "4.05"},
		{"too long a path", get(1, "fw", "T1", "x"), "4.00"},
		{"an option that must be understood", coapwire.Message{Type: coapwire.CON, Code: coapwire.GET, ID: 1, Options: append(get(1, "fw", "T1").Options, coapwire.Option{Num: 9999, Value: []byte("x")})}, "4.02"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := r.raw(t).ask(tt.m)
			if m == nil || m.Type != coapwire.ACK || m.ID != tt.m.ID || !bytes.Equal(m.Token, tt.m.Token) || !strings.HasPrefix(describe(m), tt.want) {
				t.Errorf("%s, %+v, want %s", describe(m), m, tt.want)
			}
			if m != nil && strings.Contains(string(m.Payload), "secret") {
				t.Errorf("it tells %q", m.Payload)
			}
		})
	}
}

// TestBytes holds whole datagrams against each other.
func TestBytes(t *testing.T) {
	r := start(t, Config{}, []byte("0123456789abcdef!"), nil)
	for name, tt := range map[string]struct{ send, want string }{
		"a ping":                 {"\x40\x00\x12\x34", "\x70\x00\x12\x34"},
		"a malformed request":    {"\x40\x01\x12\x35\xb4fw", "\x70\x00\x12\x35"},
		"a block":                {"\x42\x01\x12\x36ab\xb2fw\x02T1\xc0", "\x62\x45\x12\x36ab\x43sum\xd1\x06\x08\x51\x11\xff0123456789abcdef"},
		"the next":               {"\x42\x01\x12\x37ab\xb2fw\x02T1\xc1\x10", "\x62\x45\x12\x37ab\x43sum\xd1\x06\x10\xff!"},
		"a chunk, as one answer": {"\x40\x01\x12\x38\xb2fw\x02T1\x46size=4\x07chunk=2", "\x60\x45\x12\x38\x43sum\xff89ab"},
		"telemetry":              {"\x40\x02\x12\x39\xb3api\x02v1\x02T1\x09telemetry\xff{\"a\":1}", "\x60\x41\x12\x39"},
	} {
		t.Run(name, func(t *testing.T) {
			x := r.raw(t)
			x.send([]byte(tt.send))
			b := make([]byte, 2000)
			x.nc.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err := x.nc.Read(b)
			if err != nil || string(b[:n]) != tt.want {
				t.Errorf("came % x, %v, want % x", b[:n], err, tt.want)
			}
		})
	}
	silent := []string{"", "\x40", "\x80\x01\x00\x01", "\x50\x00\x12\x34", "\x60\x00\x12\x34", "\x70\x00\x12\x34", "\x50\x01\x12\x35\xb4fw", "\x60\x45\x12\x34\xffx", "\x50\x01\x00\x01\xb2fw\x02T1\xe1\xff\xffx"}
	for _, s := range silent {
		x := r.raw(t)
		x.send([]byte(s))
		x.send([]byte("\x40\x00\xff\xff"))
		if m := x.next(5 * time.Second); m == nil || m.ID != 0xffff {
			t.Errorf("% x was answered: %s", s, describe(m))
		}
	}
}

// TestRepeats: what is sent again is answered the same and handled once.
func TestRepeats(t *testing.T) {
	r := start(t, Config{}, nil, nil)
	x := r.raw(t)
	for i := range 5 {
		if m := x.ask(post(7, `{"a":1}`, "api", "v1", "T1", "telemetry")); m == nil || m.Code != coapwire.Created || m.ID != 7 {
			t.Fatalf("time %d: %s", i, describe(m))
		}
	}
	if n := len(r.events(ota.Telemetry)); n != 1 {
		t.Errorf("handed over %d times", n)
	}
	non := post(8, `{"a":2}`, "api", "v1", "T1", "telemetry")
	non.Type = coapwire.NON
	if m := x.ask(non); m == nil || m.Code != coapwire.Created || m.Type != coapwire.NON && m.Type != coapwire.CON {
		t.Errorf("a request that wants no acknowledgement: %s", describe(m))
	}
}

// TestBodies: bodies that come in blocks, up to the limit.
func TestBodies(t *testing.T) {
	r := start(t, Config{MaxBody: 8 << 10}, nil, nil)
	body := func(n int) []byte { return fmt.Appendf(nil, `{"a":"%s"}`, strings.Repeat("x", n-8)) }
	for _, n := range []int{1023, 1024, 1025, 2048, 8 << 10} {
		a, err := r.dial(t).Post(t.Context(), "api/v1/T1/telemetry", body(n))
		if err != nil || a.Code != coapwire.Created {
			t.Errorf("%d bytes: %s, %v", n, a.Code, err)
		}
	}
	got := r.events(ota.Telemetry)
	for i, n := range []int{1023, 1024, 1025, 2048, 8 << 10} {
		if i < len(got) && string(got[i].Values) != string(body(n)) {
			t.Errorf("%d bytes came as %d", n, len(got[i].Values))
		}
	}
	if a, err := r.dial(t).Post(t.Context(), "api/v1/T1/telemetry", body(9<<10)); err != nil || a.Code != coapwire.TooLarge {
		t.Errorf("too large a body: %s, %v", a.Code, err)
	}
	if a, err := r.dial(t).Post(t.Context(), "api/v1/nobody/telemetry", body(4<<10)); err != nil || a.Code != coapwire.Unauthorized {
		t.Errorf("a body of nobody: %s, %v", a.Code, err)
	}
	x := r.raw(t)
	m := post(5, string(body(1024)), "api", "v1", "T1", "telemetry")
	m.Options = append(m.Options, coapwire.Option{Num: coapwire.Block1, Value: coapwire.AppendUint(nil, coapwire.Block{Num: 3, More: true, SZX: 6}.Uint())})
	if a := x.ask(m); a == nil || a.Code != coapwire.Incomplete {
		t.Errorf("a block without those before it: %s", describe(a))
	}
}

// TestLargeAttributes come in blocks, too.
func TestLargeAttributes(t *testing.T) {
	shared := fmt.Sprintf(`{"text":"%s"}`, noiseText(5000))
	r := start(t, Config{}, nil, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event == ota.AttributesRequested {
			return []ota.Reply{{Word: ota.SayAttributes, Shared: []byte(shared)}}, nil
		}
		return nil, nil
	})
	for _, szx := range []uint8{6, 5, 2} {
		c := r.dial(t)
		c.SZX = szx
		got, err := c.Fetch(t.Context(), "api/v1/T1/attributes?sharedKeys=text", nil)
		if diff := cmp.Diff(`{"shared":`+shared+`}`, string(got)); err != nil || diff != "" {
			t.Errorf("blocks of %d: %v\n%s", 16<<szx, err, diff)
		}
	}
}

func noiseText(n int) string {
	b := noise(n)
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	return string(b)
}

// TestIsolation: what is A's is not B's, whatever path is tried.
func TestIsolation(t *testing.T) {
	r := start(t, Config{}, noise(3000), nil)
	for _, path := range [][]string{{"fw", "T2"}, {"sw", "T2"}, {"fw", "T2", "T1"}, {"fw", "T1/"}, {"fw", "../T1"}, {"fw", "T1\x00"}, {"fw", "\x00x509\x00"}, {"fw", "t1"}, {"fw", ""}} {
		m := r.raw(t).ask(block2(get(1, path...), 1, 6))
		if m == nil || m.Code < coapwire.BadRequest {
			t.Errorf("%q got %s", path, describe(m))
		}
	}
}
