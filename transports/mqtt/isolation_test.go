package mqtt

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// S3: whatever topic a device asks for another's things on, it is answered as
// itself or not at all; nor may one that is no gateway speak for anybody, nor a
// gateway for one that it may not bring.
func TestS3ForeignThings(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
			if m.Device != "d2" {
				t.Errorf("%s was handed over as %s", m.Event, m.Device)
			}
			return nil, nil
		}, withGateway)
		c := s.dial(t, v)
		c.send(&mqttwire.Connect{Version: v, CleanStart: true, HasUserName: true, UserName: []byte("T2")})
		c.next()
		reason := func(r mqttwire.Reason) mqttwire.Reason {
			if v != mqttwire.V5 {
				return 0
			}
			return r
		}
		for i, p := range []struct {
			topic, body string
			want        mqttwire.Reason
		}{
			{"v1/devices/d1/telemetry", `{"fw_state":"FAILED"}`, mqttwire.TopicNameInvalid},
			{"v1/devices/T1/attributes/request/1", `{}`, mqttwire.TopicNameInvalid},
			{"v1/gateway/connect", `{"device":"d1"}`, mqttwire.NotAuthorized},
			{"v1/gateway/telemetry", `{"d1":{"fw_state":"FAILED"}}`, mqttwire.NotAuthorized},
			{"v1/gateway/attributes", `{"d1":{}}`, mqttwire.NotAuthorized},
			{"v1/gateway/attributes/request", `{"id":1,"device":"d1","keys":["fw_title"]}`, mqttwire.NotAuthorized},
			{"v1/gateway/rpc", `{"device":"d1","id":1,"data":{}}`, mqttwire.NotAuthorized},
			{"v1/gateway/claim", `{"d1":{}}`, mqttwire.NotAuthorized},
			{"v1/gateway/fw/request/d1/1/chunk/0", "10", mqttwire.NotAuthorized},
		} {
			id := uint16(i + 1)
			c.send(publish1(id, p.topic, p.body))
			c.wantAck(mqttwire.PUBACK, id, reason(p.want))
		}
		c.wantAlive()
		gw := s.login(t, v)
		for i, body := range []string{`{"device":"d2"}`, `{"device":"d1"}`} {
			gw.send(publish1(uint16(i+1), "v1/gateway/connect", body))
			gw.wantAck(mqttwire.PUBACK, uint16(i+1), reason(mqttwire.ImplementationSpecific))
		}
		gw.send(publish("v1/gateway/fw/request/d2/1/chunk/0", "10"))
		gw.wantPublish("v1/gateway/fw/error", `{"device":"d2","id":1,"chunk":0,"error":"NOT_FOUND"}`)
	})
}

// S4: no filter, shared or not, lets a device hear another; nothing is retained;
// a will reaches nobody. Each refusal has its code.
func TestS4ForeignTopics(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil, withGateway, ownTopics)
		spy := s.dial(t, v)
		spy.send(&mqttwire.Connect{Version: v, CleanStart: true, HasUserName: true, UserName: []byte("T2")})
		spy.next()
		bad, shared := byte(0x80), byte(0x80)
		if v == mqttwire.V5 {
			bad, shared = 0x8f, 0x9e
		}
		for i, f := range []struct {
			filter string
			want   byte
		}{
			{"#", bad}, {"+/+", bad}, {"+/devices/me/attributes", bad}, {"$SYS/#", bad}, {"$SYS/broker/clients/connected", bad},
			{"v1/#", bad}, {"v1/devices/+/attributes", bad}, {"v1/devices/d1/attributes", bad}, {"v1/devices/T1/rpc/request/+", bad},
			{"v1/gateway/#", bad}, {"v2/#", bad}, {"v2/fw/#", bad}, {"provision/#", bad},
			{"$share/g/v1/devices/me/attributes", shared}, {"$share/g/#", shared}, {"$share//#", bad}, {"$share/g", bad},
			{"v1/devices/me/attributes", 0}, {"v2/fw/response/+/chunk/+", 0}, {"v1/gateway/attributes", 0}, {"v1/gateway/rpc", 0},
			{"plant/#", 0}, {"plant/d1/secret", 0}, // chains speak there, each to one device
		} {
			spy.send(subscribe(uint16(i+1), 0, f.filter))
			if ack, ok := spy.next().(*mqttwire.SubAck); !ok || ack.Codes[0] != f.want {
				t.Errorf("%s: got %+v, want %#x", f.filter, ack, f.want)
			}
		}
		victim := s.dial(t, v)
		victim.send(&mqttwire.Connect{
			Version: v, CleanStart: true, HasUserName: true, UserName: []byte("T1"), HasWill: true,
			Will: mqttwire.Will{Topic: []byte("plant/d2/last"), Payload: []byte("secret"), Retain: true},
		})
		victim.next()
		victim.subscribed(subscribe(1, 0, "v1/devices/me/attributes", "plant/#"), 0, 0)
		victim.send(publish1(2, "v1/gateway/connect", `{"device":"s1"}`))
		victim.wantAck(mqttwire.PUBACK, 2, 0)
		for i, topic := range []string{"v1/devices/me/telemetry", "plant/d2/x", "v1/devices/d2/attributes", "v1/devices/me/attributes", "plant/d1/secret"} {
			p := publish1(uint16(i+10), topic, `{"a":"secret"}`)
			p.Retain = true
			victim.send(p)
			if a, ok := victim.next().(*mqttwire.Ack); !ok || a.PacketID != p.PacketID {
				t.Errorf("%s: got %+v", topic, a)
			}
		}
		s.push(offer("d1", `{"a":"secret"}`), offer("s1", `{"a":"secret"}`), toTopic("plant/d1/secret", "secret", 0),
			ota.Reply{Word: ota.SayRPC, Tenant: ota.DefaultTenant, Device: "d1", Push: true, Call: 1, Method: "secret"})
		victim.wantPublish("v1/devices/me/attributes", `{"a":"secret"}`)
		victim.wantPublish("plant/d1/secret", "secret")
		victim.nc.Close()
		until(t, "the victim is gone", func() bool { return s.router.Sessions() == 1 })
		spy.wantAlive()                                       // and nothing came before that
		spy.subscribed(subscribe(99, 0, "plant/+/secret"), 0) // nothing was retained
		spy.wantAlive()
	})
}

// S15: whatever number or size stands in a request for a piece, what comes are
// bytes of the package from that very place, nothing, an error or the end.
func TestS15ChunkAttacks(t *testing.T) {
	image := strings.Repeat("0123456789abcdef", 64)
	sizes := []string{"", "0", "-1", "1", "16", "1000", "65536", "65537", "2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "1e3", "0x10", "1.5", " 1", "١", "NaN", strings.Repeat("9", 400)}
	chunks := []string{"0", "1", "63", "64", "1023", "1024", "65535", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "18446744073709551616", "-1", "x", ""}
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.ChunkRequested {
			return nil, nil
		}
		if m.Size < 0 || m.Size > 65536 || m.Chunk < 0 {
			t.Errorf("handed over: size %d, chunk %d", m.Size, m.Chunk)
		}
		pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Blob: "b", Size: int64(len(image))}
		return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
	})
	s.files["b"] = []byte(image)
	for _, size := range sizes {
		for _, chunk := range chunks {
			c := s.login(t, mqttwire.V5)
			topic := "v2/fw/request/1/chunk/" + chunk
			c.send(publish(topic, size), &mqttwire.Ping{Type: mqttwire.PINGREQ})
			p, err := c.read()
			if err != nil {
				t.Fatalf("%q of %q: %v", chunk, size, err)
			}
			if got, ok := p.(*mqttwire.Publish); ok && strings.HasPrefix(string(got.Topic), "v2/fw/response/") {
				n, k := numeral(t, size), numeral(t, chunk)
				want := image
				if n > 0 {
					from := min(n*k, int64(len(image)))
					want = image[from:min(from+n, int64(len(image)))]
				}
				if string(got.Payload) != want || string(got.Topic) != "v2/fw/response/1/chunk/"+chunk {
					t.Errorf("chunk %q of %q: %d bytes on %s", chunk, size, len(got.Payload), got.Topic)
				}
			}
			c.nc.Close()
		}
	}
}

// numeral reads what was answered as a number; nothing is 0.
func numeral(t *testing.T, text string) int64 {
	t.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Errorf("%q was answered as a number", text)
	}
	return n
}
