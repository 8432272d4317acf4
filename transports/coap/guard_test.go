package coap

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
)

// TestAmplification: who does not hear us gets at most three bytes for each that
// came from there, whatever is asked for.
func TestAmplification(t *testing.T) {
	r := start(t, Config{}, noise(100_000), shared(fmt.Sprintf(`{"text":"%s"}`, noiseText(3000))))
	observe := get(5, "api", "v1", "T1", "attributes")
	observe.Options = append([]coapwire.Option{{Num: coapwire.Observe}}, observe.Options...)
	for name, m := range map[string]coapwire.Message{
		"a block":             block2(get(1, "fw", "T1"), 0, 6),
		"a later block":       block2(get(1, "fw", "T1"), 50, 6),
		"attributes":          get(1, "api", "v1", "T1", "attributes"),
		"an observation":      observe,
		"an unknown token":    get(1, "fw", "nobody"),
		"a malformed request": {Type: coapwire.CON, Code: coapwire.GET, ID: 1, Options: []coapwire.Option{{Num: 9999}}},
		"elsewhere":           get(1, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			x := r.raw(t)
			x.proves = false
			for i := range 40 {
				m.ID = uint16(100 + i)
				x.send(m.Append(nil))
			}
			for x.next(100*time.Millisecond) != nil {
			}
			if x.in > 3*x.out {
				t.Errorf("%d bytes came, %d went: %.1f", x.in, x.out, float64(x.in)/float64(x.out))
			}
		})
	}
}

// TestProof: a device is asked once whether it hears us, and what it asked for
// comes at once behind that.
func TestProof(t *testing.T) {
	r := start(t, Config{}, noise(5000), nil)
	x := r.raw(t)
	x.proves = false
	m := block2(get(1, "fw", "T1"), 0, 6)
	x.send(m.Append(nil))
	ping := x.next(5 * time.Second)
	if ping == nil || ping.Type != coapwire.CON || ping.Code != coapwire.Empty {
		t.Fatalf("first comes %s", describe(ping))
	}
	x.send((&coapwire.Message{Type: coapwire.RST, ID: ping.ID + 1}).Append(nil))
	if m := x.next(50 * time.Millisecond); m != nil {
		t.Fatalf("a guess was rewarded: %s", describe(m))
	}
	x.send((&coapwire.Message{Type: coapwire.RST, ID: ping.ID}).Append(nil))
	if m := x.next(5 * time.Second); describe(m) != "2.05 1024 block 0/true/1024" {
		t.Fatalf("behind the proof comes %s", describe(m))
	}
	for i := range uint32(4) {
		if m := x.ask(block2(get(uint16(2+i), "fw", "T1"), i+1, 6)); m == nil || m.Code != coapwire.Content {
			t.Errorf("block %d: %s", i+1, describe(m))
		}
	}
	y := r.raw(t)
	y.proves = false
	y.send(m.Append(nil))
	ping = y.next(5 * time.Second)
	for i := range 20 {
		y.send((&coapwire.Message{Type: coapwire.RST, ID: ping.ID + 1 + uint16(i)}).Append(nil))
	}
	y.send((&coapwire.Message{Type: coapwire.RST, ID: ping.ID}).Append(nil))
	if m := y.next(50 * time.Millisecond); m != nil {
		t.Errorf("who has guessed twenty times is believed: %s", describe(m))
	}
}

// TestFlood: datagrams of all kinds leave little behind, and a transfer beside
// them finishes.
func TestFlood(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's data
	image := noise(200_000)
	r := start(t, Config{Sessions: 20}, image, shared(`{"a":1}`))
	var wg sync.WaitGroup
	wg.Go(func() {
		c := r.dial(t)
		c.Ack, c.Says = 100*time.Millisecond, 10
		got, err := c.Fetch(t.Context(), "fw/T1", nil)
		if err != nil || string(got) != string(image) {
			t.Errorf("the transfer beside: %d bytes, %v", len(got), err)
		}
	})
	for range 200 {
		nc, err := net.Dial("udp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			b := make([]byte, rnd.IntN(200))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			switch rnd.IntN(4) {
			case 0:
			case 1: // a body without end
				m := post(uint16(rnd.Uint32()), noiseText(1024), "api", "v1", "T1", "telemetry")
				m.Options = append(m.Options, coapwire.Option{Num: coapwire.Block1, Value: coapwire.AppendUint(nil, coapwire.Block{Num: rnd.Uint32N(5), More: true, SZX: 6}.Uint())})
				b = m.Append(nil)
			case 2: // observations by ever new tokens
				m := get(uint16(rnd.Uint32()), "api", "v1", "T1", "attributes")
				m.Token = binary.BigEndian.AppendUint32(nil, rnd.Uint32())
				m.Options = append([]coapwire.Option{{Num: coapwire.Observe}}, m.Options...)
				b = m.Append(nil)
			case 3:
				if len(b) > 0 {
					b[0] = b[0]&0x3f | 0x40
				}
			}
			_, _ = nc.Write(b) // as fast as the socket takes it
		}
		nc.Close()
	}
	wg.Wait()
	s := r.Stats()
	if s.Sessions > 20 {
		t.Errorf("%d exchanges, 20 at most", s.Sessions)
	}
	if n := r.router.Sessions(); n > 20 {
		t.Errorf("%d sessions of devices", n)
	}
}

// TestStrangersAreBounded: addresses that nobody has heard of are forgotten.
func TestStrangersAreBounded(t *testing.T) {
	r := start(t, Config{Sessions: 10}, nil, nil)
	p := &r.peers
	for i := range strangers + 5000 {
		from := net.UDPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 1}
		if p.at(from.AddrPort(), 10, r.Transport) == nil {
			t.Fatal("no room for a stranger")
		}
	}
	if all, _ := p.count(); all > strangers+10 {
		t.Errorf("%d addresses are remembered", all)
	}
	p.each(func(x *peer) { x.last.Store(time.Now().Add(-time.Minute).UnixNano()) })
	until(t, "who is silent is forgotten", func() bool { all, _ := p.count(); return all == 0 })
}

// TestSlowStore: a device whose messages take long holds up nobody.
func TestSlowStore(t *testing.T) {
	release := make(chan struct{})
	r := start(t, Config{}, noise(5000), func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Device != "d1" {
			<-release
		}
		return nil, nil
	})
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			c := r.dial(t)
			c.Ack = 10 * time.Second
			if i%2 == 0 {
				c.Fetch(t.Context(), "fw/T2", nil) //nolint:errcheck // it is refused, in the end
			} else if a, err := c.Post(t.Context(), "api/v1/T2/telemetry", []byte(`{"a":1}`)); err != nil || a.Code != coapwire.Created {
				t.Errorf("the slow one: %s, %v", a.Code, err)
			}
		})
	}
	until(t, "they wait", func() bool { return len(r.events(ota.ChunkRequested, ota.Telemetry)) == 5 })
	for range 20 {
		if got, err := r.dial(t).Fetch(t.Context(), "fw/T1", nil); err != nil || len(got) != 5000 {
			t.Errorf("beside them: %d bytes, %v", len(got), err)
		}
	}
	close(release)
	wg.Wait()
}
