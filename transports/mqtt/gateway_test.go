package mqtt

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// profiles gives devices the settings of their profile: by the device's id.
type profiles map[ota.DeviceID]ota.MQTTSettings

func (p profiles) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	m, ok := p[ota.DeviceID(r.ID)]
	switch {
	case !ok:
		return nil, ota.Errorf(ota.NotFound, "get", "no such home")
	case r.Type == ota.ProfileRef:
		return &ota.Home{Ref: r, Profile: &ota.Profile{ID: ota.ProfileID(r.ID), MQTT: &m}}, nil
	}
	return &ota.Home{Ref: r, Device: &ota.Device{ID: ota.DeviceID(r.ID), Profile: ota.ProfileID(r.ID)}}, nil
}

// yard is a fleet in which a gateway may speak for all whose name begins with s.
type yard struct{ types chan string }

func (y yard) Through(_ context.Context, gateway ota.Ref, name, profile string) (ota.Ref, error) {
	switch name[0] {
	case 's':
		y.types <- profile
		return ota.RefOf(gateway.Tenant, ota.DeviceID(name)), nil
	case 'b':
		return ota.Ref{}, ota.Errorf(ota.Busy, "store", "away")
	}
	return ota.Ref{}, ota.Errorf(ota.Conflict, "speak for", "another owner's")
}

// withGateway makes d1 a gateway, and d2 an ordinary device.
func withGateway(_ *Config, d *Deps) {
	d.Nouns = profiles{"d1": {Gateway: true}, "d2": {}}
	d.Fleet = yard{make(chan string, 64)}
}

const devicesAttributes = "v1/gateway/attributes"

// A device that a gateway brings has a session of its own, and hears its updates
// over the gateway's connection.
func TestGateway(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
			if m.Event == ota.AttributesRequested {
				return []ota.Reply{{Word: ota.SayAttributes, Shared: []byte(`{"fw_title":"T","fw_size":7}`), Client: []byte(`{"x":1.10}`)}}, nil
			}
			return nil, nil
		}, withGateway)
		c := s.login(t, v)
		c.subscribed(subscribe(1, 1, "v1/gateway/attributes", "v1/gateway/attributes/response", "v1/gateway/rpc"), 1, 1, 1)
		if s.push(offer("s1", `{"a":1}`)) {
			t.Error("a device that is not there has heard")
		}
		c.send(publish1(1, "v1/gateway/connect", `{"device":"s1","type":"thermo"}`))
		c.wantAck(mqttwire.PUBACK, 1, 0)
		if !s.push(offer("s1", `{"fw_title":"T","fw_size":7}`)) {
			t.Error("not heard")
		}
		c.wantPublish(devicesAttributes, `{"device":"s1","data":{"fw_title":"T","fw_size":7}}`)
		s.push(ota.Reply{Word: ota.SayCancel, Tenant: ota.DefaultTenant, Device: "s1", Push: true, Deleted: []string{"fw_title"}})
		c.wantPublish(devicesAttributes, `{"device":"s1","data":{"deleted":["fw_title"]}}`)
		s.push(ota.Reply{Word: ota.SayRPC, Tenant: ota.DefaultTenant, Device: "s1", Push: true, Call: 7, Method: "reboot", Body: []byte(`{"in":1}`)})
		c.wantPublish("v1/gateway/rpc", `{"device":"s1","data":{"id":7,"method":"reboot","params":{"in":1}}}`)
		c.send(publish1(2, "v1/gateway/rpc", `{"device":"s1","id":7,"data":{"ok":true}}`))
		c.wantAck(mqttwire.PUBACK, 2, 0)
		c.send(publish1(3, "v1/gateway/telemetry", `{"s1":[{"ts":1700000000123,"values":{"fw_state":"UPDATED"}},{"n":1.10}],"s2":{"n":2}}`))
		c.wantAck(mqttwire.PUBACK, 3, 0)
		c.send(publish1(4, "v1/gateway/attributes", `{"s1":{"serial":"1"}}`))
		c.wantAck(mqttwire.PUBACK, 4, 0)
		for body, want := range map[string]string{
			`{"id":5,"device":"s1","client":false,"keys":["fw_title","fw_size"]}`: `{"id":5,"device":"s1","values":{"fw_title":"T","fw_size":7}}`,
			`{"id":6,"device":"s1","client":true,"key":"x"}`:                      `{"id":6,"device":"s1","value":1.10}`,
			`{"id":7,"device":"s1","client":true,"key":"none"}`:                   `{"id":7,"device":"s1"}`,
		} {
			c.send(publish1(5, "v1/gateway/attributes/request", body))
			c.wantAck(mqttwire.PUBACK, 5, 0)
			c.wantPublish("v1/gateway/attributes/response", want)
		}
		c.send(publish1(6, "v1/gateway/disconnect", `{"device":"s1"}`))
		c.wantAck(mqttwire.PUBACK, 6, 0)
		if s.push(offer("s1", `{"a":1}`)) {
			t.Error("a device that has gone has heard")
		}
		s.vanish(c)
		of := func(d ota.DeviceID) (out []string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, m := range s.heard {
				if m.Device == d {
					out = append(out, string(m.Event))
				}
			}
			return out
		}
		if got := strings.Join(of("s1"), " "); got != "connected rpc_answered telemetry telemetry attributes attributes_requested attributes_requested attributes_requested disconnected" {
			t.Errorf("s1: %s", got)
		}
		until(t, "the devices are gone with their gateway", func() bool { return strings.Join(of("s2"), " ") == "connected telemetry disconnected" })
		for _, m := range s.events(ota.RPCAnswered, ota.Telemetry) {
			if m.Session.Num == 0 || m.Transport != "mqtt" || m.Device == "d1" {
				t.Errorf("handed over: %+v", m)
			}
		}
	})
}

// A gateway fetches the bytes for its devices, each download bound for itself.
func TestGatewayChunks(t *testing.T) {
	s := start(t, Config{MaxPayload: 1024}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.ChunkRequested {
			return nil, nil
		}
		if m.Device == "s none" {
			return nil, ota.Errorf(ota.NotFound, "resolve", "nothing is assigned")
		}
		pkg := &ota.Package{ID: ota.PackageID("of " + string(m.Device)), Kind: m.Kind, Blob: string(m.Device), Size: 10}
		return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
	}, withGateway)
	s.files["s1"], s.files["s/2"] = []byte("0123456789"), []byte("abcdefghij")
	c := s.login(t, mqttwire.V5)
	for i, name := range []string{"s1", "s/2", "s none"} {
		c.send(publish1(uint16(i+1), "v1/gateway/connect", `{"device":"`+name+`"}`))
		c.wantAck(mqttwire.PUBACK, uint16(i+1), 0)
	}
	c.send(publish("v1/gateway/fw/request/s1/1/chunk/0", "4"))
	c.wantPublish("v1/gateway/fw/response/s1/1/chunk/0", "0123")
	c.send(publish("v1/gateway/sw/request/s%2F2/1/chunk/1", "4"))
	c.wantPublish("v1/gateway/sw/response/s%2F2/1/chunk/1", "efgh")
	c.send(publish("v1/gateway/fw/request/s1/1/chunk/2", "")) // the size said before
	c.wantPublish("v1/gateway/fw/response/s1/1/chunk/2", "89")
	c.send(publish("v1/gateway/fw/request/s1/1/chunk/3", ""))
	c.wantPublish("v1/gateway/fw/response/s1/1/chunk/3", "")
	for topic, want := range map[string]string{
		"v1/gateway/fw/request/s%20none/9/chunk/0": `{"device":"s none","id":9,"chunk":0,"error":"NOT_FOUND"}`,
		"v1/gateway/fw/request/s7/9/chunk/0":       `{"device":"s7","id":9,"chunk":0,"error":"NOT_FOUND"}`,
		"v1/gateway/fw/request/d2/9/chunk/0":       `{"device":"d2","id":9,"chunk":0,"error":"NOT_FOUND"}`,
	} {
		c.send(publish(topic, "4"))
		c.wantPublish("v1/gateway/fw/error", want)
	}
	c.send(publish("v1/gateway/fw/request/s1/1/chunk/0", "2000"))
	c.wantPublish("v1/gateway/fw/error", `{"device":"s1","id":1,"chunk":0,"error":"PAYLOAD_TOO_LARGE"}`)
	c.wantAlive()
	bound := map[ota.DeviceID]ota.PackageID{}
	for _, m := range s.events(ota.ChunkRequested) {
		if m.Bound != "" {
			bound[m.Device] = m.Bound
		}
	}
	if !maps.Equal(bound, map[ota.DeviceID]ota.PackageID{"s1": "of s1"}) {
		t.Errorf("bound: %v", bound)
	}
}

// What cannot be read, or done, is said, and leaves the connection.
func TestGatewayRefusals(t *testing.T) {
	s := start(t, Config{}, nil, withGateway)
	c := s.login(t, mqttwire.V5)
	for i, tt := range []struct {
		topic, body string
		want        mqttwire.Reason
	}{
		{"connect", `{"device":"other"}`, mqttwire.ImplementationSpecific},
		{"connect", `{"device":""}`, mqttwire.PayloadFormatInvalid},
		{"connect", `{`, mqttwire.PayloadFormatInvalid},
		{"telemetry", `[]`, mqttwire.PayloadFormatInvalid},
		{"telemetry", `{"s1":7}`, mqttwire.PayloadFormatInvalid},
		{"telemetry", `{"other":{"n":1}}`, mqttwire.ImplementationSpecific},
		{"attributes", `{"s1":[]}`, mqttwire.PayloadFormatInvalid},
		{"attributes/request", `{"id":1,"device":"s1"}`, mqttwire.PayloadFormatInvalid},
		{"rpc", `{"device":"s9","id":1,"data":1}`, mqttwire.ImplementationSpecific},
		{"claim", `{"s1":{}}`, mqttwire.ImplementationSpecific},
		{"nothing", `{}`, mqttwire.TopicNameInvalid},
	} {
		id := uint16(i + 1)
		c.send(publish1(id, "v1/gateway/"+tt.topic, tt.body))
		c.wantAck(mqttwire.PUBACK, id, tt.want)
	}
	c.send(publish1(99, "v1/gateway/telemetry", `{"busy":{"n":1}}`))
	c.wantClosed(mqttwire.ServerBusy)
	if n := len(s.events(ota.Telemetry)); n != 0 {
		t.Errorf("%d were handed over", n)
	}
}

// FuzzGateway holds the reading of what gateways say to this: no panic, and a
// device is named.
func FuzzGateway(f *testing.F) {
	f.Add([]byte(`{"device":"a","type":"b","id":1,"keys":["x"]}`), []byte("v1/gateway/fw/request/a%2Fb/1/chunk/2"))
	f.Add([]byte(`{"a":[{"ts":1,"values":{}}]}`), []byte("v1/gateway/sw/request//1/chunk/2"))
	f.Fuzz(func(t *testing.T, body, topic []byte) {
		if g, err := readGateway(body); err == nil && g.Device == "" {
			t.Error("nobody is named")
		} else if err == nil {
			if a := gatewayAnswer(g, ota.Reply{Shared: []byte(`{"a":1}`)}); !json.Valid(a) {
				t.Errorf("answer %s", a)
			}
		}
		_, _ = readDevices(slices.Clone(body))
		if tt, name, ok := parseGatewayChunk(topic); ok && (name == "" || tt.verb != verbChunk || tt.id < 0 || tt.chunk < 0) {
			t.Errorf("%+v of %q", tt, name)
		}
	})
}
