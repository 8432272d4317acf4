package mqtt

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

func TestTelemetry(t *testing.T) {
	at := time.UnixMilli
	type said struct {
		TS     time.Time
		Values string
	}
	tests := []struct {
		name, payload string
		want          []said
	}{
		{"values", `{"a":1}`, []said{{Values: `{"a":1}`}}},
		{"nulls are left out, empty text is not", `{"a":null,"fw_error":"","b":1.10}`, []said{{Values: `{"fw_error":"","b":1.10}`}}},
		{"time stamp", `{"ts":1000,"values":{"a":1}}`, []said{{at(1000), `{"a":1}`}}},
		{"array", `[{"a":1},{"ts":2000,"values":{"b":2}},{"ts":1000,"values":{"c":3}}]`,
			[]said{{Values: `{"a":1}`}, {at(2000), `{"b":2}`}, {at(1000), `{"c":3}`}}},
		{"free state", `[{"fw_state":"IDLE"}]`, []said{{Values: `{"fw_state":"IDLE"}`}}},
		{"empty array", `[]`, nil},
	}
	for _, topic := range []string{"v1/devices/me/telemetry", "v2/t", "v2/t/j"} {
		for _, tt := range tests {
			t.Run(topic+" "+tt.name, func(t *testing.T) {
				s := start(t, Config{}, nil)
				c := s.login(t, mqttwire.V5)
				c.send(publish1(1, topic, tt.payload))
				c.wantAck(mqttwire.PUBACK, 1, 0)
				var got []said
				for _, m := range s.events(ota.Telemetry) {
					got = append(got, said{m.TS, string(m.Values)})
					if m.Device != "d1" || m.Tenant != ota.DefaultTenant || m.Transport != "mqtt" {
						t.Errorf("message %+v", m)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestClientAttributes(t *testing.T) {
	s := start(t, Config{}, nil)
	c := s.login(t, mqttwire.V311)
	for i, topic := range []string{"v1/devices/me/attributes", "v2/a", "v2/a/j"} {
		c.send(publish1(uint16(i+1), topic, `{"model":"x","gone":null}`))
		c.wantAck(mqttwire.PUBACK, uint16(i+1), 0)
		got := s.events(ota.AttributesReported)
		if len(got) != i+1 || string(got[i].Values) != `{"model":"x"}` {
			t.Errorf("%s: %+v", topic, got)
		}
	}
}

// What cannot be read closes the connection before 5.0 and is named in 5.0.
func TestUnreadable(t *testing.T) {
	tests := []struct{ topic, payload string }{
		{"v1/devices/me/telemetry", `{`},
		{"v1/devices/me/telemetry", ``},
		{"v1/devices/me/telemetry", `1`},
		{"v1/devices/me/telemetry", `[1]`},
		{"v1/devices/me/telemetry", strings.Repeat("[", 10000)},
		{"v1/devices/me/attributes", `[]`},
		{"v1/devices/me/attributes/request/1", ``},
		{"v1/devices/me/attributes/request/1", `{"clientKeys":1}`},
		{"v1/devices/me/rpc/request/1", `{}`},
		{"v1/devices/me/rpc/response/1", `{`},
	}
	s := start(t, Config{}, nil)
	for _, tt := range tests {
		t.Run(tt.topic, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v mqttwire.Version) {
				c := s.login(t, v)
				c.send(publish1(1, tt.topic, tt.payload))
				if v != mqttwire.V5 {
					c.wantClosed(0)
					return
				}
				c.wantAck(mqttwire.PUBACK, 1, mqttwire.PayloadFormatInvalid)
				c.send(publish(tt.topic, tt.payload))
				c.wantAlive()
			})
		})
	}
	if n := len(s.events(ota.Telemetry, ota.AttributesReported, ota.AttributesRequested, ota.RPCRequested, ota.RPCAnswered)); n != 0 {
		t.Errorf("%d messages came through", n)
	}
}

func TestUnknownTopics(t *testing.T) {
	s := start(t, Config{}, nil)
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		c := s.login(t, v)
		for i, topic := range []string{"a", "v1/devices/d2/telemetry", "v2/t/p", "v1/devices/me/claim", "v2/fw/response/1/chunk/0", "$SYS/a"} {
			want := mqttwire.Success
			if v == mqttwire.V5 {
				want = mqttwire.TopicNameInvalid
			}
			c.send(publish1(uint16(i+1), topic, "x"), publish(topic, "x"))
			c.wantAck(mqttwire.PUBACK, uint16(i+1), want)
		}
		c.wantAlive()
	})
	if n := len(s.events(ota.Telemetry)); n != 0 || s.mqtt.Stats().Unknown != 36 {
		t.Errorf("%d messages, %+v", n, s.mqtt.Stats())
	}
}

func TestPayloadLimit(t *testing.T) {
	fits := `{"a":"` + strings.Repeat("x", 65536-8) + `"}`
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		c := s.login(t, v)
		c.send(publish1(1, "v1/devices/me/telemetry", fits))
		c.wantAck(mqttwire.PUBACK, 1, 0)
		c.send(publish1(2, "v1/devices/me/telemetry", fits+" "))
		c.wantClosed(mqttwire.PacketTooLarge)
		c = s.login(t, v)
		c.raw([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}) // 256 MiB, announced
		c.wantClosed(mqttwire.PacketTooLarge)
		if n := len(s.events(ota.Telemetry)); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestAttributesRequest(t *testing.T) {
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if len(m.SharedKeys) > 0 && m.SharedKeys[0] == "none" {
			return []ota.Reply{{Word: ota.SayAttributes}}, nil
		}
		return []ota.Reply{{Word: ota.SayAttributes, Client: []byte(`{"a":1}`), Shared: []byte(`{"fw_title":"T","fw_version":"1.0","fw_size":7}`)}}, nil
	})
	tests := []struct {
		ask, payload, on, want string
		client, shared         []string
	}{
		{"v1/devices/me/attributes/request/1", `{"clientKeys":"a,b","sharedKeys":"fw_title"}`, "v1/devices/me/attributes/response/1",
			`{"client":{"a":1},"shared":{"fw_title":"T","fw_version":"1.0","fw_size":7}}`, []string{"a", "b"}, []string{"fw_title"}},
		{"v2/a/req/5", `{}`, "v2/a/res/5", `{"client":{"a":1},"shared":{"fw_title":"T","fw_version":"1.0","fw_size":7}}`, nil, nil},
		{"v2/a/req/j/6", `{"sharedKeys":"none"}`, "v2/a/res/j/6", `{}`, nil, []string{"none"}},
	}
	c := s.login(t, mqttwire.V311)
	for i, tt := range tests {
		c.send(publish1(9, tt.ask, tt.payload))
		c.wantAck(mqttwire.PUBACK, 9, 0)
		if p := c.wantPublish(tt.on, tt.want); p.QoS != 1 {
			t.Errorf("%s: QoS %d", tt.on, p.QoS)
		}
		m := s.events(ota.AttributesRequested)[i]
		if diff := cmp.Diff([][]string{tt.client, tt.shared}, [][]string{m.ClientKeys, m.SharedKeys}); diff != "" {
			t.Errorf("%s keys (-want +got):\n%s", tt.ask, diff)
		}
	}
	c.subscribed(subscribe(1, 0, "v1/devices/me/attributes/response/+"), 0)
	c.send(publish(tests[0].ask, tests[0].payload))
	if p := c.wantPublish(tests[0].on, tests[0].want); p.QoS != 0 {
		t.Errorf("QoS %d, subscribed with 0", p.QoS)
	}
}

func TestRPC(t *testing.T) {
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		switch m.Method {
		case "getSessionLimits":
			return []ota.Reply{{Word: ota.SayBody, Body: m.Limits}}, nil
		case "refused":
			return []ota.Reply{ota.Refusal(ota.Invalid, "no")}, nil
		case "fails":
			return nil, ota.Errorf(ota.NotFound, "", "no such method")
		}
		return nil, nil
	})
	limits := `{"maxPayloadSize":65536,"maxInflightMessages":100,"rateLimits":{"messages":null,"telemetryMessages":null,"telemetryDataPoints":null}}`
	c := s.login(t, mqttwire.V5)
	c.send(publish1(1, "v1/devices/me/rpc/request/4", `{"method":"getSessionLimits","params":{"timeout":5}}`))
	c.wantAck(mqttwire.PUBACK, 1, 0)
	c.wantPublish("v1/devices/me/rpc/response/4", limits)
	if m := s.events(ota.RPCRequested)[0]; string(m.Params) != `{"timeout":5}` {
		t.Errorf("params %s", m.Params)
	}
	c.send(publish("v2/r/req/j/5", `{"method":"getSessionLimits","params":{}}`))
	c.wantPublish("v2/r/res/j/5", limits)
	c.send(publish("v1/devices/me/rpc/request/6", `{"method":"refused"}`))
	c.wantPublish("v1/devices/me/rpc/response/6", `{"error":"no"}`)
	c.send(publish("v1/devices/me/rpc/request/7", `{"method":"fails"}`))
	c.wantPublish("v1/devices/me/rpc/response/7", `{"error":"no such method"}`)
	c.send(publish1(2, "v1/devices/me/rpc/response/8", `{"ok":true}`))
	c.wantAck(mqttwire.PUBACK, 2, 0)
	if m := s.events(ota.RPCAnswered); len(m) != 1 || m[0].Call != 8 || string(m[0].Result) != `{"ok":true}` {
		t.Errorf("answers %+v", m)
	}
}

// TestCalls says calls of a device's methods, in the form in which it listens.
func TestCalls(t *testing.T) {
	s := start(t, Config{}, nil)
	c := s.login(t, mqttwire.V5)
	call := ota.Reply{Word: ota.SayRPC, Tenant: "main", Device: "d1", Push: true, Method: "health", Body: []byte(`{"deep":true}`), Call: 41}
	if heard, _ := s.router.Send(t.Context(), []ota.Reply{call}); heard {
		t.Error("a call was heard that nobody listens for")
	}
	c.subscribed(subscribe(1, 1, "v1/devices/me/rpc/request/+"), 1)
	if heard, _ := s.router.Send(t.Context(), []ota.Reply{call}); !heard {
		t.Error("nobody heard")
	}
	if p := c.wantPublish("v1/devices/me/rpc/request/41", `{"method":"health","params":{"deep":true}}`); p.QoS != 1 {
		t.Errorf("QoS %d", p.QoS)
	}
	c.subscribed(subscribe(2, 0, "v2/r/req/j/+"), 0)
	call.Call, call.Body = 42, nil
	offer := ota.Reply{Word: ota.SayOffer, Tenant: "main", Device: "d1", Push: true, Shared: []byte(`{"fw_title":"app"}`)}
	if heard, _ := s.router.Send(t.Context(), []ota.Reply{offer, call}); !heard {
		t.Error("nobody heard")
	}
	c.wantPublish("v2/r/req/j/42", `{"method":"health","params":{}}`)
}

// What Handle says about a message that could be read.
func TestCodes(t *testing.T) {
	tests := []struct {
		code ota.Code
		v5   mqttwire.Reason
	}{
		{"", mqttwire.Success}, {ota.Invalid, mqttwire.PayloadFormatInvalid}, {ota.NotFound, mqttwire.ImplementationSpecific},
		{ota.Conflict, mqttwire.ImplementationSpecific}, {ota.Internal, mqttwire.UnspecifiedError},
	}
	for _, tt := range tests {
		t.Run(string(tt.code), func(t *testing.T) {
			s := start(t, Config{}, func(context.Context, ota.Message) ([]ota.Reply, error) {
				if tt.code == "" {
					return nil, nil
				}
				return nil, ota.Errorf(tt.code, "test", "as planned")
			})
			eachVersion(t, func(t *testing.T, v mqttwire.Version) {
				c := s.login(t, v)
				want := tt.v5
				if v != mqttwire.V5 {
					want = mqttwire.Success
				}
				for i, topic := range []string{"v2/t", "v2/a"} {
					c.send(publish1(uint16(i+1), topic, "{}"))
					c.wantAck(mqttwire.PUBACK, uint16(i+1), want)
				}
				c.wantAlive()
			})
		})
	}
}

// A message that cannot be stored now is not acknowledged, nor is any behind it;
// those before it are. With QoS 0 nothing was promised.
func TestBusy(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		var n atomic.Int32
		s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
			if n.Add(1) == 3 {
				return nil, ota.Errorf(ota.Busy, "commit", "store is away")
			}
			return nil, nil
		})
		c := s.login(t, v)
		var burst []mqttwire.Packet
		for id := range 5 {
			burst = append(burst, publish1(uint16(id+1), "v2/t", "{}"))
		}
		c.send(burst...)
		c.wantAck(mqttwire.PUBACK, 1, 0)
		c.wantAck(mqttwire.PUBACK, 2, 0)
		c.wantClosed(mqttwire.ServerBusy)
		n.Store(2)
		c = s.login(t, v)
		c.send(publish("v2/t", "{}"), publish1(1, "v2/t", "{}"))
		c.wantAck(mqttwire.PUBACK, 1, 0)
		if got := len(s.events(ota.Telemetry)); got != 5 {
			t.Errorf("%d messages, want 3 and 2", got)
		}
	})
}

// Acknowledgements come in the order of the publishes, each after its message
// was handled, and the messages are handled in order too.
func TestOrder(t *testing.T) {
	s := start(t, Config{}, nil)
	c := s.login(t, mqttwire.V311)
	const n = 1000
	var burst []mqttwire.Packet
	for id := range n {
		burst = append(burst, publish1(uint16(id+1), "v2/t", fmt.Sprintf(`{"n":%d}`, id)))
		if id%7 == 0 {
			burst = append(burst, &mqttwire.Ping{Type: mqttwire.PINGREQ})
		}
	}
	c.flood(encode(t, c.v, burst...))
	for id := range n {
		c.wantAck(mqttwire.PUBACK, uint16(id+1), 0)
		if id%7 == 0 {
			c.next()
		}
	}
	for i, m := range s.events(ota.Telemetry) {
		if want := fmt.Sprintf(`{"n":%d}`, i); string(m.Values) != want {
			t.Fatalf("message %d is %s", i, m.Values)
		}
	}
}

func TestQoS2(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{MaxInflight: 3}, nil)
		c := s.login(t, v)
		p := &mqttwire.Publish{QoS: 2, PacketID: 5, Topic: []byte("v2/t"), Payload: []byte("{}")}
		release := &mqttwire.Ack{Type: mqttwire.PUBREL, PacketID: 5}
		c.send(p)
		c.wantAck(mqttwire.PUBREC, 5, 0)
		p.Dup = true
		c.send(p) // its PUBREC was lost, so it comes again: handled once
		c.wantAck(mqttwire.PUBREC, 5, 0)
		c.send(release)
		c.wantAck(mqttwire.PUBCOMP, 5, 0)
		c.send(release)
		want := mqttwire.Success
		if v == mqttwire.V5 {
			want = mqttwire.PacketIDNotFound
		}
		c.wantAck(mqttwire.PUBCOMP, 5, want)
		p.Dup = false
		c.send(p) // the number is free again: another message
		c.wantAck(mqttwire.PUBREC, 5, 0)
		if n := len(s.events(ota.Telemetry)); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
		for id := uint16(6); id < 9; id++ { // three may wait for PUBREL, not four
			p.PacketID = id
			c.send(p)
			if id < 8 {
				c.wantAck(mqttwire.PUBREC, id, 0)
			}
		}
		c.wantClosed(mqttwire.ReceiveMaximumExceeded)
	})
}

func TestProtocolErrors(t *testing.T) {
	s := start(t, Config{}, nil)
	tests := []struct {
		name, raw string
		v         mqttwire.Version
		reason    mqttwire.Reason
	}{
		{"second CONNECT", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", mqttwire.V311, 0},
		{"second CONNECT", "\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", mqttwire.V5, mqttwire.ProtocolError},
		{"CONNACK", "\x20\x02\x00\x00", mqttwire.V311, 0},
		{"AUTH", "\xf0\x00", mqttwire.V5, mqttwire.ProtocolError},
		{"AUTH before 5.0", "\xf0\x00", mqttwire.V311, 0},
		{"topic alias", "\x30\x07\x00\x00\x03\x23\x00\x01x", mqttwire.V5, mqttwire.TopicAliasInvalid},
		{"wildcard in a topic", "\x30\x03\x00\x01#", mqttwire.V311, 0},
		{"wildcard in a topic", "\x30\x04\x00\x01#\x00", mqttwire.V5, mqttwire.TopicNameInvalid},
		{"QoS 3", "\x36\x06\x00\x01t\x00\x01\x00", mqttwire.V5, mqttwire.MalformedPacket},
		{"SUBSCRIBE without filters", "\x82\x03\x00\x01\x00", mqttwire.V5, mqttwire.ProtocolError},
		{"bad length", "\x30\xff\xff\xff\xff", mqttwire.V5, mqttwire.MalformedPacket},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.login(t, tt.v)
			c.raw([]byte(tt.raw))
			c.wantClosed(tt.reason)
		})
	}
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		c := s.login(t, v)
		c.send(publish1(1, "v2/t", "{}"), &mqttwire.Close{Type: mqttwire.DISCONNECT})
		c.wantAck(mqttwire.PUBACK, 1, 0)
		c.wantClosed(0)
		c = s.login(t, v) // acknowledgements of nothing are let pass
		for _, typ := range []mqttwire.Type{mqttwire.PUBACK, mqttwire.PUBCOMP} {
			c.send(&mqttwire.Ack{Type: typ, PacketID: 1})
		}
		c.wantAlive()
	})
}
