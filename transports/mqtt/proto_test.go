package mqtt

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

const telemetrySchema = `syntax = "proto3";
package pump;
enum Mode { IDLE = 0; RUN = 1; }
message Inner { double level = 1; }
message Report {
  string fw_state = 1;
  optional string current_fw_version = 2;
  int64 ticks = 3;
  Mode mode = 4;
  Inner inner = 5;
  repeated int32 list = 6;
  map<string, bool> flags = 7;
  bytes raw = 8;
}`

const attributesSchema = `syntax = "proto3"; message A { string serial = 1; }`

// report is {fw_state:"UPDATED", current_fw_version:"1.10", ticks:2^53+1, mode:RUN, inner{level:1.5}, list[1,2], flags{a:true}, raw:0xff}.
func report() []byte {
	var b []byte
	text := func(n protowire.Number, s string) {
		b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
	}
	text(1, "UPDATED")
	text(2, "1.10")
	b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), 1<<53+1)
	b = protowire.AppendVarint(protowire.AppendTag(b, 4, protowire.VarintType), 1)
	text(5, "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f")
	text(6, "\x01\x02")
	text(7, "\x0a\x01a\x10\x01")
	text(8, "\xff")
	return b
}

func withProto(m ota.MQTTSettings) func(*Config, *Deps) {
	m.Protobuf, m.TelemetryProto, m.AttributesProto = true, telemetrySchema, attributesSchema
	return func(_ *Config, d *Deps) { d.Nouns = profiles{"d1": m} }
}

// Devices of a profile that speaks Protocol Buffers report, ask and hear in them.
func TestProtobuf(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
			if m.Event != ota.AttributesRequested {
				return nil, nil
			}
			if len(m.ClientKeys) != 1 || m.ClientKeys[0] != "a" || len(m.SharedKeys) != 2 {
				t.Errorf("asked for %q and %q", m.ClientKeys, m.SharedKeys)
			}
			return []ota.Reply{{Word: ota.SayAttributes, Client: []byte(`{"a":true}`), Shared: []byte(`{"fw_size":7,"fw_version":"1.0"}`)}}, nil
		}, withProto(ota.MQTTSettings{}))
		c := s.login(t, v)
		for i, topic := range []string{"v1/devices/me/telemetry", "v2/t", "v2/t/p"} {
			c.send(publish1(uint16(i+1), topic, string(report())))
			c.wantAck(mqttwire.PUBACK, uint16(i+1), 0)
		}
		c.send(publish1(4, "v2/t/j", `{"fw_state":"IDLE"}`))
		c.wantAck(mqttwire.PUBACK, 4, 0)
		c.send(publish1(5, "v2/a/p", "\x0a\x03A-1"))
		c.wantAck(mqttwire.PUBACK, 5, 0)
		all := s.events(ota.Telemetry, ota.AttributesReported)
		const want = `{"fw_state":"UPDATED","current_fw_version":"1.10","ticks":9007199254740993,"mode":"RUN","inner":{"level":1.5},"list":[1,2],"flags":{"a":true},"raw":"/w=="}`
		for i, w := range []string{want, want, want, `{"fw_state":"IDLE"}`, `{"serial":"A-1"}`} {
			if got := string(all[i].Values); got != w {
				t.Errorf("message %d: %s, want %s", i, got, w)
			}
		}
		c.send(publish1(6, "v1/devices/me/attributes/request/9", "\x0a\x01a\x12\x12fw_size,fw_version"))
		c.wantAck(mqttwire.PUBACK, 6, 0)
		p, ok := c.next().(*mqttwire.Publish)
		if got := hex.EncodeToString(p.Payload); !ok || got != "0809"+"1207"+"1205"+"0a0161"+"1801"+hexShared {
			t.Errorf("answered %s on %s", got, p.Topic)
		}
		c.subscribed(subscribe(7, 0, "v2/a/p"), 0)
		s.push(ota.Reply{Word: ota.SayCancel, Tenant: ota.DefaultTenant, Device: "d1", Push: true, Shared: []byte(`{"n":1.5}`), Deleted: []string{"x"}})
		push := c.next().(*mqttwire.Publish) //nolint:forcetypeassert // a test's
		if got := hex.EncodeToString(push.Payload); string(push.Topic) != "v2/a/p" || got != "0a10"+"120e"+"0a016e"+"1002"+"29000000000000f83f"+"120178" {
			t.Errorf("pushed %s on %s", got, push.Topic)
		}
	})
}

// fw_size: 7 (long) and fw_version: "1.0" (text), each an entry in field 3.
const hexShared = "1a0f" + "120d" + "0a0766775f73697a65" + "1001" + "2007" +
	"1a15" + "1213" + "0a0a66775f76657273696f6e" + "1003" + "3203312e30"

// What is no message of the schema is refused, or may be JSON where the profile
// says so.
func TestProtobufCompatibility(t *testing.T) {
	s := start(t, Config{}, nil, withProto(ota.MQTTSettings{AlsoJSON: true, JSONDownlinks: true}))
	c := s.login(t, mqttwire.V5)
	c.send(publish1(1, "v1/devices/me/telemetry", `{"fw_state":"IDLE"}`))
	c.wantAck(mqttwire.PUBACK, 1, 0)
	c.send(publish1(2, "v2/t/p", `{"fw_state":"IDLE"}`))
	c.wantAck(mqttwire.PUBACK, 2, mqttwire.PayloadFormatInvalid)
	c.subscribed(subscribe(3, 0, "v2/a"), 0)
	s.push(offer("d1", `{"a":1}`))
	c.wantPublish("v2/a", `{"a":1}`)
	strict := start(t, Config{}, nil, withProto(ota.MQTTSettings{}))
	c = strict.login(t, mqttwire.V5)
	c.send(publish1(1, "v1/devices/me/telemetry", `{"fw_state":"IDLE"}`))
	c.wantAck(mqttwire.PUBACK, 1, mqttwire.PayloadFormatInvalid)
	plain := start(t, Config{}, nil)
	c = plain.login(t, mqttwire.V5)
	c.subscribed(subscribe(1, 0, "v2/a/p"), 0x8f)
	c.send(publish1(2, "v2/t/p", "\x0a\x01x"))
	c.wantAck(mqttwire.PUBACK, 2, mqttwire.TopicNameInvalid)
}

// A profile's own topics stand in the place of the long ones of the device API;
// the short ones go on, and pushes may be heard on both.
func TestOwnTopicsOfAProfile(t *testing.T) {
	s := start(t, Config{}, nil, func(_ *Config, d *Deps) {
		d.Nouns = profiles{"d1": {TelemetryTopic: "plant/+/t", AttributesTopic: "plant/a/#", SubscribeTopic: "plant/attributes", AckInvalid: true}}
	})
	c := s.login(t, mqttwire.V311)
	for i, topic := range []string{"plant/x/t", "plant/a/b/c", "v2/t", "v2/a", "v1/devices/me/telemetry", "v1/devices/me/attributes", "plant/t"} {
		c.send(publish1(uint16(i+1), topic, `{"a":1}`))
		c.wantAck(mqttwire.PUBACK, uint16(i+1), 0)
	}
	if a, b := len(s.events(ota.Telemetry)), len(s.events(ota.AttributesReported)); a != 2 || b != 2 {
		t.Errorf("%d of telemetry, %d of attributes, want 2 of each", a, b)
	}
	c.send(publish1(20, "plant/x/t", "{"))
	c.wantAck(mqttwire.PUBACK, 20, 0) // as the profile says
	c.subscribed(subscribe(21, 0, "plant/attributes", "plant/other"), 0, 0x80)
	s.push(offer("d1", `{"a":1}`))
	c.wantPublish("plant/attributes", `{"a":1}`)
	c.subscribed(subscribe(22, 0, "v1/devices/me/attributes"), 0)
	s.push(offer("d1", `{"a":2}`))
	c.wantPublish("v1/devices/me/attributes", `{"a":2}`)
}

func TestCheckSettings(t *testing.T) {
	good := ota.MQTTSettings{Protobuf: true, TelemetryProto: telemetrySchema, AttributesProto: attributesSchema}
	if member, err := CheckSettings(good); err != nil {
		t.Errorf("%s: %v", member, err)
	}
	for name, m := range map[string]ota.MQTTSettings{
		"no schema":  {Protobuf: true, AttributesProto: attributesSchema},
		"no message": {TelemetryProto: `syntax = "proto3";`},
		"proto2":     {TelemetryProto: `syntax = "proto2"; message A {}`},
		"no proto":   {TelemetryProto: `message`},
		"an import":  {TelemetryProto: `syntax = "proto3"; import "/etc/passwd"; message A {}`},
	} {
		if member, err := CheckSettings(m); member != "deviceTelemetryProtoSchema" || ota.CodeOf(err) != ota.Invalid {
			t.Errorf("%s: %q, %v", name, member, err)
		}
	}
}

// FuzzProto holds the readers of Protocol Buffers to this: no panic, and JSON
// that can be read.
func FuzzProto(f *testing.F) {
	f.Add(report())
	f.Add([]byte("\x0a\x01a\x12\x01b"))
	by, err := compile(telemetrySchema)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := by.json(b); err == nil && !strings.HasPrefix(string(out), "{") {
			t.Errorf("%q", out)
		}
		_, _, _ = readProtoRequest(b)
	})
}
