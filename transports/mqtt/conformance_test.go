package mqtt

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// ownTopics lets chains speak on topics of their own.
func ownTopics(_ *Config, d *Deps) { d.Doors = &transports.Doors{} }

// hello is a CONNECT of device d1 with the client id "c".
func hello(v mqttwire.Version, fresh bool, with ...func(*mqttwire.Connect)) *mqttwire.Connect {
	p := &mqttwire.Connect{Version: v, CleanStart: fresh, ClientID: []byte("c"), HasUserName: true, UserName: []byte("T1")}
	for _, f := range with {
		f(p)
	}
	return p
}

// keeping asks for a session that outlives its connection, in either way.
func keeping(seconds uint32) func(*mqttwire.Connect) {
	return func(p *mqttwire.Connect) {
		if p.Version == mqttwire.V5 {
			p.Props.SetUint(mqttwire.SessionExpiry, seconds)
		}
	}
}

func withNumber(id mqttwire.Property, n uint32) func(*mqttwire.Connect) {
	return func(p *mqttwire.Connect) { p.Props.SetUint(id, n) }
}

// connect says hello and expects to be let in.
func (s *server) connect(t *testing.T, p *mqttwire.Connect) (*client, *mqttwire.Connack) {
	t.Helper()
	c := s.dial(t, p.Version)
	c.send(p)
	ack, ok := c.next().(*mqttwire.Connack)
	if !ok || ack.Code != 0 {
		t.Fatalf("refused: %+v", ack)
	}
	return c, ack
}

// vanish breaks the connection without a word and waits until that is known.
func (s *server) vanish(c *client) {
	c.nc.Close()
	until(s.t, "the connection is gone", func() bool { return s.mqtt.Stats().Open == 0 })
}

// finish stops the endpoint and waits for all that it does.
func (s *server) finish() {
	s.t.Helper()
	s.stop()
	if err := <-s.ended; err != nil {
		s.t.Error(err)
	}
	s.ended <- nil
}

// A second CONNECT is a protocol error (MQTT-3.1.0-2).
func TestConformanceConnectTwice(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		c := s.login(t, v)
		c.send(hello(v, true))
		c.wantClosed(mqttwire.ProtocolError)
	})
}

// "Session present" is said of a session that there is, and of no other.
func TestConformanceSessionPresent(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		for i, step := range []struct {
			keep, fresh, present bool
		}{{true, false, false}, {true, false, true}, {false, true, false}, {true, false, false}} {
			keep := keeping(60)
			if !step.keep {
				keep = keeping(0)
			}
			c, ack := s.connect(t, hello(v, step.fresh, keep))
			if ack.SessionPresent != step.present {
				t.Errorf("connection %d: session present is %v", i, ack.SessionPresent)
			}
			s.vanish(c)
		}
		if n := s.mqtt.Stats().Resumed; n != 1 {
			t.Errorf("%d sessions went on, want 1", n)
		}
	})
}

// Sessions are told apart by their device: a client id of another one's opens
// nothing.
func TestConformanceSessionIsItsDevices(t *testing.T) {
	s := start(t, Config{}, nil)
	c, _ := s.connect(t, hello(mqttwire.V311, false))
	c.subscribed(subscribe(1, 1, "v2/a"), 1)
	s.vanish(c)
	_, ack := s.connect(t, hello(mqttwire.V311, false, func(p *mqttwire.Connect) { p.UserName = []byte("T2") }))
	if ack.SessionPresent || s.push(offer("d2", `{"a":1}`)) {
		t.Error("another device's session was gone on with")
	}
}

// What survives is what was subscribed to, and what was not acknowledged, which
// is said again in its order (MQTT-4.4.0-1).
func TestConformanceRetransmission(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		c, _ := s.connect(t, hello(v, false, keeping(60)))
		c.subscribed(subscribe(1, 1, "v2/a"), 1)
		s.push(offer("d1", `{"n":1}`), offer("d1", `{"n":2}`), offer("d1", `{"n":3}`))
		first := c.wantPublish("v2/a", `{"n":1}`)
		second := c.wantPublish("v2/a", `{"n":2}`)
		third := c.wantPublish("v2/a", `{"n":3}`)
		c.send(&mqttwire.Ack{Type: mqttwire.PUBACK, PacketID: second.PacketID})
		c.wantAlive()
		s.vanish(c)
		if s.push(offer("d1", `{"n":4}`)) {
			t.Error("a word to a device that is away was heard")
		}
		c, ack := s.connect(t, hello(v, false, keeping(60)))
		if !ack.SessionPresent {
			t.Fatal("the session is gone")
		}
		if p := c.wantPublish("v2/a", `{"n":1}`); !p.Dup || p.PacketID != first.PacketID || p.QoS != 1 {
			t.Errorf("said again as %+v", p)
		}
		if p := c.wantPublish("v2/a", `{"n":3}`); !p.Dup || p.PacketID != third.PacketID {
			t.Errorf("said again as %+v", p)
		}
		s.push(offer("d1", `{"n":5}`))
		if p := c.wantPublish("v2/a", `{"n":5}`); p.Dup || p.PacketID == first.PacketID || p.PacketID == third.PacketID {
			t.Errorf("the next is %+v", p)
		}
		for _, id := range []uint16{first.PacketID, third.PacketID} {
			c.send(&mqttwire.Ack{Type: mqttwire.PUBACK, PacketID: id})
		}
		c.wantAlive()
		s.vanish(c)
		c, _ = s.connect(t, hello(v, false, keeping(60)))
		c.wantPublish("v2/a", `{"n":5}`)
		c.wantAlive()
	})
}

// Within a connection nothing is said twice, and a session that ends with its
// connection leaves nothing.
func TestConformanceNoSessionNothingAgain(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		c, _ := s.connect(t, hello(v, true))
		c.subscribed(subscribe(1, 1, "v2/a"), 1)
		s.push(offer("d1", `{"n":1}`))
		c.wantPublish("v2/a", `{"n":1}`)
		s.vanish(c)
		c, ack := s.connect(t, hello(v, false, keeping(60)))
		if ack.SessionPresent {
			t.Error("there is a session")
		}
		c.wantAlive()
		if s.push(offer("d1", `{"n":2}`)) {
			t.Error("a subscription survived")
		}
	})
}

// A message of QoS 2 is handed over once, however often it comes, until it is
// released; also over two connections (MQTT-4.3.3-10).
func TestConformanceQoS2In(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		c, _ := s.connect(t, hello(v, false, keeping(60)))
		p := publish("v2/t", `{"n":1}`)
		p.QoS, p.PacketID = 2, 7
		c.send(p)
		c.wantAck(mqttwire.PUBREC, 7, 0)
		p.Dup = true
		c.send(p)
		c.wantAck(mqttwire.PUBREC, 7, 0)
		s.vanish(c)
		c, _ = s.connect(t, hello(v, false, keeping(60)))
		c.send(p)
		c.wantAck(mqttwire.PUBREC, 7, 0)
		c.send(&mqttwire.Ack{Type: mqttwire.PUBREL, PacketID: 7})
		c.wantAck(mqttwire.PUBCOMP, 7, 0)
		if n := len(s.events(ota.Telemetry)); n != 1 {
			t.Errorf("handed over %d times", n)
		}
		reason := mqttwire.Reason(0)
		if v == mqttwire.V5 {
			reason = mqttwire.PacketIDNotFound
		}
		c.send(&mqttwire.Ack{Type: mqttwire.PUBREL, PacketID: 7})
		c.wantAck(mqttwire.PUBCOMP, 7, reason)
		p.Dup = false
		c.send(p)
		c.wantAck(mqttwire.PUBREC, 7, 0)
		if n := len(s.events(ota.Telemetry)); n != 2 {
			t.Errorf("a new message with an old number: %d handed over", n)
		}
	})
}

// toTopic is what a chain says to its device on a topic of its own.
func toTopic(topic, body string, qos int) ota.Reply {
	return ota.Reply{Word: ota.SayTopic, Tenant: ota.DefaultTenant, Device: "d1", Push: true, Topic: topic, Body: []byte(body), QoS: qos}
}

// QoS 2 towards the device: PUBLISH, PUBREC, PUBREL, PUBCOMP; what of it is said
// again after a break is what the client has not confirmed.
func TestConformanceQoS2Out(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil, ownTopics)
		c, _ := s.connect(t, hello(v, false, keeping(60)))
		c.subscribed(subscribe(1, 2, "plant/d1/#"), 2)
		s.push(toTopic("plant/d1/a", "one", 2), toTopic("plant/d1/a", "two", 2), toTopic("plant/d1/a", "three", 1))
		one, two := c.wantPublish("plant/d1/a", "one"), c.wantPublish("plant/d1/a", "two")
		if p := c.wantPublish("plant/d1/a", "three"); one.QoS != 2 || two.QoS != 2 || p.QoS != 1 {
			t.Fatalf("QoS %d, %d and %d", one.QoS, two.QoS, p.QoS)
		}
		c.send(&mqttwire.Ack{Type: mqttwire.PUBREC, PacketID: one.PacketID})
		c.wantAck(mqttwire.PUBREL, one.PacketID, 0)
		s.vanish(c)
		c, _ = s.connect(t, hello(v, false, keeping(60)))
		c.wantAck(mqttwire.PUBREL, one.PacketID, 0)
		if p := c.wantPublish("plant/d1/a", "two"); !p.Dup || p.QoS != 2 || p.PacketID != two.PacketID {
			t.Errorf("said again as %+v", p)
		}
		c.wantPublish("plant/d1/a", "three")
		c.send(&mqttwire.Ack{Type: mqttwire.PUBCOMP, PacketID: one.PacketID})
		c.send(&mqttwire.Ack{Type: mqttwire.PUBREC, PacketID: two.PacketID})
		c.wantAck(mqttwire.PUBREL, two.PacketID, 0)
		c.send(&mqttwire.Ack{Type: mqttwire.PUBCOMP, PacketID: two.PacketID})
		reason := mqttwire.Reason(0)
		if v == mqttwire.V5 {
			reason = mqttwire.PacketIDNotFound
		}
		c.send(&mqttwire.Ack{Type: mqttwire.PUBREC, PacketID: 999})
		c.wantAck(mqttwire.PUBREL, 999, reason)
	})
}

// A client is sent no more than it takes at once; what is more waits and comes
// in its order (MQTT-3.3.4-9).
func TestConformanceFlowControl(t *testing.T) {
	s := start(t, Config{}, nil)
	c, _ := s.connect(t, hello(mqttwire.V5, true, withNumber(mqttwire.ReceiveMaximum, 2)))
	c.subscribed(subscribe(1, 1, "v2/a"), 1)
	for n := range 5 {
		if !s.push(offer("d1", fmt.Sprintf(`{"n":%d}`, n))) {
			t.Errorf("push %d found no room to wait", n)
		}
	}
	flying := []*mqttwire.Publish{c.wantPublish("v2/a", `{"n":0}`), c.wantPublish("v2/a", `{"n":1}`)}
	c.wantAlive() // and no third
	for n := 2; n < 5; n++ {
		c.send(&mqttwire.Ack{Type: mqttwire.PUBACK, PacketID: flying[0].PacketID})
		p := c.wantPublish("v2/a", fmt.Sprintf(`{"n":%d}`, n))
		if p.QoS != 1 {
			t.Errorf("QoS %d", p.QoS)
		}
		flying = append(flying[1:], p)
		c.wantAlive()
	}
}

// What waits for a client that acknowledges nothing is bounded.
func TestConformanceFlowControlIsBounded(t *testing.T) {
	s := start(t, Config{}, nil)
	c, _ := s.connect(t, hello(mqttwire.V5, true, withNumber(mqttwire.ReceiveMaximum, 1)))
	c.subscribed(subscribe(1, 1, "v2/a"), 1)
	big := offer("d1", `{"a":"`+strings.Repeat("x", 10_000)+`"}`)
	took := 0
	for range 20 {
		if s.push(big) {
			took++
		}
	}
	if took < 2 || took > 8 {
		t.Errorf("%d of 20 pushes of 10 kB are held", took)
	}
}

// A packet over what the client takes is not sent (MQTT-3.1.2-24), one over what
// we take ends the connection with its reason (MQTT-3.2.2-15).
func TestConformanceMaximumPacketSize(t *testing.T) {
	s := start(t, Config{MaxPayload: 1024}, nil)
	c, ack := s.connect(t, hello(mqttwire.V5, true, withNumber(mqttwire.MaximumPacketSize, 256)))
	c.subscribed(subscribe(1, 1, "v2/a"), 1)
	if s.push(offer("d1", `{"a":"`+strings.Repeat("x", 300)+`"}`)) {
		t.Error("a push that is too long was heard")
	}
	c.wantAlive()
	s.push(offer("d1", `{"a":1}`))
	c.wantPublish("v2/a", `{"a":1}`)
	limit := int(ack.Props.Uint(mqttwire.MaximumPacketSize))
	c.send(publish("v2/t", strings.Repeat(" ", limit)))
	c.wantClosed(mqttwire.PacketTooLarge)
}

// A number stands for the topic that it was given with, until another is
// (section 3.3.2.3.4); on another connection it stands for nothing.
func TestConformanceTopicAlias(t *testing.T) {
	s := start(t, Config{}, nil)
	c, ack := s.connect(t, hello(mqttwire.V5, false, keeping(60)))
	say := func(c *client, topic string, alias uint32, body string) {
		p := publish(topic, body)
		p.Props.SetUint(mqttwire.TopicAlias, alias)
		c.send(p)
	}
	say(c, "v2/t", 1, `{"n":1}`)
	say(c, "", 1, `{"n":2}`)
	say(c, "v2/a", 1, `{"n":3}`)
	say(c, "", 1, `{"n":4}`)
	say(c, "v2/t", ack.Props.Uint(mqttwire.TopicAliasMaximum), `{"n":5}`)
	c.wantAlive()
	if a, b := len(s.events(ota.Telemetry)), len(s.events(ota.AttributesReported)); a != 3 || b != 2 {
		t.Errorf("%d of telemetry and %d of attributes", a, b)
	}
	s.vanish(c)
	for name, alias := range map[string]uint32{"of an earlier connection": 1, "over the maximum": 17} {
		t.Run(name, func(t *testing.T) {
			c, _ := s.connect(t, hello(mqttwire.V5, false, keeping(60)))
			topic := ""
			if alias > 16 {
				topic = "v2/t"
			}
			say(c, topic, alias, `{"n":1}`)
			c.wantClosed(mqttwire.TopicAliasInvalid)
			until(t, "it is gone", func() bool { return s.mqtt.Stats().Open == 0 })
		})
	}
}

// A session lives as long as was agreed, and not at all where its client says so
// at the end.
func TestConformanceSessionExpiry(t *testing.T) {
	s := start(t, Config{}, nil)
	c, _ := s.connect(t, hello(mqttwire.V5, false, keeping(1)))
	s.vanish(c)
	until(t, "its second is over", func() bool {
		s.mqtt.mu.Lock()
		defer s.mqtt.mu.Unlock()
		k := s.mqtt.kept.of[clientKey{ota.RefOf(ota.DefaultTenant, "d1"), "c"}]
		return k != nil && time.Until(k.until) < 0
	})
	c, ack := s.connect(t, hello(mqttwire.V5, false, keeping(60)))
	if ack.SessionPresent {
		t.Error("a session outlived its time")
	}
	bye := &mqttwire.Close{Type: mqttwire.DISCONNECT}
	bye.Props.SetUint(mqttwire.SessionExpiry, 0)
	c.send(bye)
	c.wantClosed(mqttwire.Success)
	until(t, "it is gone", func() bool { return s.mqtt.Stats().Open == 0 })
	c, ack = s.connect(t, hello(mqttwire.V5, false))
	if ack.SessionPresent {
		t.Error("a session outlived its client's word")
	}
	bye.Props.SetUint(mqttwire.SessionExpiry, 5) // MQTT-3.1.2-23
	c.send(bye)
	c.wantClosed(mqttwire.ProtocolError)
}

// Sessions that nobody comes back to make room for others, the one that would
// end first goes first.
func TestKeptSessionsAreBounded(t *testing.T) {
	var k keeper
	now := time.Now()
	for i := range 10 {
		k.put(&kept{key: clientKey{client: strconv.Itoa(i)}, until: now.Add(time.Duration(10-i) * time.Minute)}, now, 4)
	}
	if len(k.of) != 4 || k.of[clientKey{client: "9"}] == nil || k.of[clientKey{client: "0"}] == nil {
		t.Errorf("%d are left", len(k.of))
	}
	k.put(&kept{key: clientKey{client: "x"}, until: now.Add(2 * time.Hour)}, now.Add(time.Hour), 4)
	if len(k.of) != 1 || k.take(clientKey{client: "x"}, now.Add(3*time.Hour)) != nil || len(k.order) != 0 {
		t.Errorf("%d are left when the rest have ended", len(k.of))
	}
}

// The newer of two connections with a client id has the session with all that
// is open in it, the older is told (MQTT-3.1.4-3).
func TestConformanceTakeOver(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		older, _ := s.connect(t, hello(v, false, keeping(60)))
		older.subscribed(subscribe(1, 1, "v2/a"), 1)
		s.push(offer("d1", `{"n":1}`))
		older.wantPublish("v2/a", `{"n":1}`)
		newer, ack := s.connect(t, hello(v, false, keeping(60)))
		if !ack.SessionPresent {
			t.Error("no session is present")
		}
		newer.wantPublish("v2/a", `{"n":1}`)
		older.wantClosed(mqttwire.SessionTakenOver)
		until(t, "one is left", func() bool { return s.mqtt.Stats().Open == 1 })
		s.push(offer("d1", `{"n":2}`))
		newer.wantPublish("v2/a", `{"n":2}`)
	})
}

// A will is said when the connection breaks, as if the device had said it, and
// not when the client takes its leave.
func TestConformanceWill(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		willing := func(topic string) *mqttwire.Connect {
			return hello(v, true, func(p *mqttwire.Connect) {
				p.HasWill, p.Will = true, mqttwire.Will{Topic: []byte(topic), Payload: []byte(`{"online":false}`), QoS: 1, Retain: true}
			})
		}
		said := func() int { return len(s.events(ota.Telemetry, ota.AttributesReported)) }
		for i, topic := range []string{"v1/devices/me/telemetry", "v2/a"} {
			c, _ := s.connect(t, willing(topic))
			s.vanish(c)
			until(t, "the will is said", func() bool { return said() == i+1 })
		}
		if m := s.events(ota.Telemetry)[0]; m.Device != "d1" || string(m.Values) != `{"online":false}` {
			t.Errorf("said as %+v", m)
		}
		c, _ := s.connect(t, willing("v2/t"))
		c.send(&mqttwire.Close{Type: mqttwire.DISCONNECT})
		c.wantClosed(mqttwire.Success)
		c, _ = s.connect(t, willing("v1/devices/other/telemetry"))
		s.vanish(c)
		c, _ = s.connect(t, willing("v2/fw/request/1/chunk/0"))
		s.vanish(c)
		s.finish()
		if n := said(); n != 2 {
			t.Errorf("%d wills were said, want 2", n)
		}
		if n := len(s.events(ota.ChunkRequested)); n != 0 {
			t.Error("a will asked for a chunk")
		}
	})
}

// 5.0: a client may leave with its will said, and have it said later, unless it
// is back by then (sections 3.1.3.2.2 and 3.14.2.1).
func TestConformanceWillDelay(t *testing.T) {
	s := start(t, Config{}, nil)
	willing := func(delay uint32) *mqttwire.Connect {
		return hello(mqttwire.V5, false, keeping(60), func(p *mqttwire.Connect) {
			p.HasWill, p.Will = true, mqttwire.Will{Topic: []byte("v2/t"), Payload: []byte(`{"online":false}`)}
			p.Will.Props.SetUint(mqttwire.WillDelay, delay)
		})
	}
	said := func() int { return len(s.events(ota.Telemetry)) }
	c, _ := s.connect(t, willing(0))
	c.send(&mqttwire.Close{Type: mqttwire.DISCONNECT, Reason: mqttwire.DisconnectWithWill})
	c.wantClosed(mqttwire.Success)
	until(t, "it is said at once", func() bool { return said() == 1 })
	until(t, "it is gone", func() bool { return s.mqtt.Stats().Open == 0 })
	c, _ = s.connect(t, willing(1))
	s.vanish(c)
	c, _ = s.connect(t, willing(1)) // back in time
	s.vanish(c)
	if said() != 1 {
		t.Error("it did not wait")
	}
	until(t, "it is said after its delay", func() bool { return said() == 2 })
	c, _ = s.connect(t, willing(3600))
	s.vanish(c)
	s.finish()
	if said() != 2 {
		t.Error("a will that was not due was said")
	}
}

// Each refusal of 5.0 has its reason, and the connection stays where it may.
func TestConformanceReasonCodes(t *testing.T) {
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		return nil, ota.Errorf(ota.Conflict, "test", "as planned")
	})
	c := s.login(t, mqttwire.V5)
	c.subscribed(subscribe(1, 1, "v2/t", "#", "$share/g/v2/a", "v2/a"), 0x8f, 0x8f, 0x9e, 1)
	c.send(&mqttwire.Unsubscribe{PacketID: 2, Filters: [][]byte{[]byte("v2/a"), []byte("v2/a/j")}})
	if a, ok := c.next().(*mqttwire.SubAck); !ok || string(a.Codes) != "\x00\x11" {
		t.Errorf("got %+v", a)
	}
	c.send(publish1(3, "nothing/of/ours", "{}"))
	c.wantAck(mqttwire.PUBACK, 3, mqttwire.TopicNameInvalid)
	c.send(publish1(4, "v2/t", "{"))
	c.wantAck(mqttwire.PUBACK, 4, mqttwire.PayloadFormatInvalid)
	c.send(publish1(5, "v2/a", "{}"))
	c.wantAck(mqttwire.PUBACK, 5, mqttwire.ImplementationSpecific)
	p := publish("v2/t", "{")
	p.QoS, p.PacketID = 2, 6
	c.send(p)
	c.wantAck(mqttwire.PUBREC, 6, mqttwire.PayloadFormatInvalid)
	c.send(&mqttwire.Ack{Type: mqttwire.PUBREL, PacketID: 6}) // the exchange has ended
	c.wantAck(mqttwire.PUBCOMP, 6, mqttwire.PacketIDNotFound)
	c.wantAlive()
}
