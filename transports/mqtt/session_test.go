package mqtt

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

func offer(device ota.DeviceID, values string) ota.Reply {
	return ota.Reply{Word: ota.SayOffer, Tenant: ota.DefaultTenant, Device: device, Push: true, Shared: []byte(values)}
}

func (s *server) push(words ...ota.Reply) bool {
	s.t.Helper()
	heard, err := s.router.Send(context.Background(), words)
	if err != nil {
		s.t.Fatal(err)
	}
	return heard
}

// A push goes to every session that has subscribed to attributes, on the form
// subscribed to last and with its quality, and to no other.
func TestPush(t *testing.T) {
	s := start(t, Config{}, nil)
	if s.push(offer("d1", `{"a":1}`)) {
		t.Error("heard by nobody")
	}
	long, short, deaf := s.login(t, mqttwire.V5), s.login(t, mqttwire.V311), s.login(t, mqttwire.V31)
	deaf.subscribed(subscribe(1, 1, "v1/devices/me/attributes/response/+"), 1)
	if s.push(offer("d1", `{"a":1}`)) {
		t.Error("heard without a subscription")
	}
	long.subscribed(subscribe(1, 1, "v1/devices/me/attributes"), 1)
	short.subscribed(subscribe(1, 1, "v1/devices/me/attributes"), 1)
	short.subscribed(subscribe(2, 0, "v2/a/j"), 0)
	if !s.push(offer("d1", `{"fw_title":"T","fw_size":7}`)) {
		t.Error("not heard")
	}
	if s.push(offer("d2", `{"fw_title":"foreign"}`)) {
		t.Error("a word to another device was heard")
	}
	if p := long.wantPublish("v1/devices/me/attributes", `{"fw_title":"T","fw_size":7}`); p.QoS != 1 || p.PacketID == 0 {
		t.Errorf("QoS %d", p.QoS)
	}
	if p := short.wantPublish("v2/a/j", `{"fw_title":"T","fw_size":7}`); p.QoS != 0 {
		t.Errorf("QoS %d", p.QoS)
	}
	short.send(&mqttwire.Unsubscribe{PacketID: 3, Filters: [][]byte{[]byte("v2/a/j")}})
	short.next()
	s.push(ota.Reply{Word: ota.SayCancel, Tenant: ota.DefaultTenant, Device: "d1", Push: true, Deleted: []string{"fw_title"}})
	long.wantPublish("v1/devices/me/attributes", `{"deleted":["fw_title"]}`)
	short.wantPublish("v1/devices/me/attributes", `{"deleted":["fw_title"]}`)
	deaf.wantAlive()
	if s.push(ota.Reply{Word: ota.SayApply, Tenant: ota.DefaultTenant, Device: "d1", Push: true}) {
		t.Error("MQTT has no word for apply")
	}
}

// All words of one Send arrive, in their order.
func TestPushOrder(t *testing.T) {
	s := start(t, Config{}, nil)
	c := s.login(t, mqttwire.V311)
	c.subscribed(subscribe(1, 1, "v2/a"), 1)
	for range 50 {
		s.push(offer("d1", `{"n":1}`), offer("d1", `{"n":2}`))
	}
	for range 50 {
		c.wantPublish("v2/a", `{"n":1}`)
		c.wantPublish("v2/a", `{"n":2}`)
	}
}

// Who pushes to a device that does not read is not held up, and what the device
// leaves unread is bounded.
func TestPushToSlowReader(t *testing.T) {
	s := start(t, Config{WriteTimeout: 200 * time.Millisecond}, nil)
	c := s.login(t, mqttwire.V311)
	c.subscribed(subscribe(1, 0, "v2/a"), 0)
	big := offer("d1", `{"a":"`+strings.Repeat("x", 32<<10)+`"}`)
	until(t, "the connection is cut", func() bool {
		s.push(big)
		return s.router.Sessions() == 0
	})
}

// While one device's message waits for the store, others are served, and the
// waiting one's socket fills up instead of our memory.
func TestBackPressure(t *testing.T) {
	gate := make(chan struct{})
	s := start(t, Config{MaxTurns: 2}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Device == "d1" {
			<-gate
		}
		return nil, nil
	})
	held := s.login(t, mqttwire.V311)
	held.send(publish1(1, "v2/t", "{}"), publish1(2, "v2/t", "{}"))
	until(t, "the first message is worked", func() bool { return len(s.events(ota.Telemetry)) == 1 })
	other := s.dial(t, mqttwire.V311)
	other.send(&mqttwire.Connect{Version: mqttwire.V311, CleanStart: true, HasUserName: true, UserName: []byte("T2")})
	other.next()
	for id := range 10 {
		other.send(publish1(uint16(id+1), "v2/t", "{}"))
		other.wantAck(mqttwire.PUBACK, uint16(id+1), 0)
	}
	payload := `{"a":"` + strings.Repeat("x", 60000) + `"}`
	flood := encode(t, held.v, publish("v2/t", payload))
	held.nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	sent := 0
	for sent < 1000 {
		if _, err := held.nc.Write(flood); err != nil {
			break
		}
		sent++
	}
	if sent == 1000 {
		t.Error("60 MB were taken in while nothing could be stored")
	}
	close(gate)
	held.wantAck(mqttwire.PUBACK, 1, 0)
	held.wantAck(mqttwire.PUBACK, 2, 0)
}

// Serve ends with all that was handed over handled and acknowledged, and 5.0
// clients told.
func TestShutdown(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		gate := make(chan struct{})
		s := start(t, Config{}, func(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
			<-gate
			return nil, ctx.Err()
		})
		idle, busy := s.login(t, v), s.login(t, v)
		busy.send(publish1(1, "v2/t", "{}"), publish1(2, "v2/t", "{}"))
		until(t, "the message is worked", func() bool { return len(s.events(ota.Telemetry)) == 1 })
		s.stop()
		idle.wantClosed(mqttwire.ServerShuttingDown)
		close(gate)
		busy.wantAck(mqttwire.PUBACK, 1, 0)
		busy.wantClosed(mqttwire.ServerShuttingDown)
		if n := len(s.events(ota.Telemetry)); n != 1 {
			t.Errorf("%d messages, want the one that was handed over", n)
		}
		until(t, "nobody is accepted any more", func() bool {
			nc, err := net.Dial("tcp", s.mqtt.Addr().String())
			if err == nil {
				nc.Close()
			}
			return err != nil
		})
	})
}

// While a device waits it holds neither buffer nor worker.
func TestIdleConnectionHoldsNothing(t *testing.T) {
	s := start(t, Config{Settle: time.Millisecond}, nil)
	c := s.login(t, mqttwire.V311)
	c.subscribed(subscribe(1, 0, "v2/a"), 0)
	c.send(publish1(1, "v2/t", "{}"))
	c.wantAck(mqttwire.PUBACK, 1, 0)
	c.raw(bytes.Repeat([]byte{0xc0, 0}, 3000)) // more than a connection's own bytes hold
	for range 3000 {
		c.next()
	}
	s.stop()
	c.wantClosed(0)
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil
	s.mqtt.mu.Lock()
	defer s.mqtt.mu.Unlock()
	if len(s.mqtt.conns) != 0 || len(s.mqtt.named) != 0 {
		t.Errorf("%d connections, %d names left", len(s.mqtt.conns), len(s.mqtt.named))
	}
}

// A defect costs the connection that met it, and no other.
func TestPanic(t *testing.T) {
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event == ota.AttributesReported {
			panic("as planned")
		}
		return nil, nil
	})
	well, ill := s.login(t, mqttwire.V5), s.login(t, mqttwire.V5)
	ill.send(publish1(1, "v2/t", "{}"), publish1(2, "v2/a", "{}"))
	ill.wantAck(mqttwire.PUBACK, 1, 0)
	ill.wantClosed(mqttwire.UnspecifiedError)
	well.send(publish1(1, "v2/t", "{}"))
	well.wantAck(mqttwire.PUBACK, 1, 0)
}

// Packets that never come whole cannot take all memory: beyond a budget of all
// connections together those are cut that ask for more.
func TestBuffersAreBounded(t *testing.T) {
	s := start(t, Config{MaxBuffered: 1 << 20}, nil)
	half := encode(t, mqttwire.V5, publish("v2/t", strings.Repeat(" ", 60_000)))[:59_000]
	var all []*client
	for range 40 {
		c := s.login(t, mqttwire.V5)
		c.raw(half)
		all = append(all, c)
	}
	until(t, "some are cut", func() bool { return s.mqtt.Stats().Cut > 0 })
	until(t, "the rest are held", func() bool { return s.mqtt.memory.grown.Load() <= 1<<20+128<<10 })
	if open := s.mqtt.Stats().Open; open < 8 {
		t.Errorf("%d of 40 are left, and there is room for more", open)
	}
	for _, c := range all {
		c.nc.Close()
	}
	until(t, "all is given back", func() bool { return s.mqtt.memory.grown.Load() == 0 })
}
