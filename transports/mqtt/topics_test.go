package mqtt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

func TestParseTopic(t *testing.T) {
	tests := []struct {
		topic string
		want  target
	}{
		{"v1/devices/me/telemetry", target{verb: verbTelemetry}},
		{"v2/t", target{verb: verbTelemetry, form: formShort}},
		{"v2/t/j", target{verb: verbTelemetry, form: formShortJSON}},
		{"v2/t/p", target{verb: verbTelemetry, form: formProto}},
		{"v1/devices/me/attributes", target{verb: verbAttributes}},
		{"v2/a/j", target{verb: verbAttributes, form: formShortJSON}},
		{"v1/devices/me/attributes/request/7", target{verb: verbAttributesRequest, id: 7}},
		{"v1/devices/me/attributes/request/", target{}},
		{"v1/devices/me/attributes/request/x", target{}},
		{"v1/devices/me/attributes/request/7x", target{}},
		{"v1/devices/me/attributes/request/2147483647", target{verb: verbAttributesRequest, id: 2147483647}},
		{"v1/devices/me/attributes/request/2147483648", target{verb: verbAttributesRequest, id: 2147483647, bad: true}},
		{"v2/a/req/1", target{verb: verbAttributesRequest, form: formShort, id: 1}},
		{"v2/a/req/j/1", target{verb: verbAttributesRequest, form: formShortJSON, id: 1}},
		{"v1/devices/me/rpc/request/3", target{verb: verbRPCRequest, id: 3}},
		{"v1/devices/me/rpc/response/3", target{verb: verbRPCResponse, id: 3}},
		{"v2/r/res/j/3", target{verb: verbRPCResponse, form: formShortJSON, id: 3}},
		{"v2/fw/request/1/chunk/0", target{verb: verbChunk, kind: ota.Firmware, id: 1}},
		{"v2/sw/request/12/chunk/34", target{verb: verbChunk, kind: ota.Software, id: 12, chunk: 34}},
		{"a/v2/fw/request/1/chunk/2b", target{verb: verbChunk, kind: ota.Firmware, id: 1, chunk: 2}},
		{"v2/fw/request/1/chunk/", target{}},
		{"v2/fw/request//chunk/1", target{}},
		{"v2/fw/request/-1/chunk/1", target{}},
		{"v2/fw/request/1/chunk/-1", target{}},
		{"v2/fw/request/1/chunk/4294967296", target{verb: verbChunk, kind: ota.Firmware, id: 1, chunk: 2147483647, bad: true}},
		{"v2/fw/request/99999999999999999999999999/chunk/1", target{verb: verbChunk, kind: ota.Firmware, id: 2147483647, chunk: 1, bad: true}},
		{"v2/xx/request/1/chunk/1", target{}},
		{"/request/1/chunk/1", target{}},
		{"", target{}},
		{"v1/devices/me/claim", target{verb: verbClaim, form: formLong}},
		{"v1/devices/me/claim/1", target{}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, parseTopic([]byte(tt.topic)), cmp.AllowUnexported(target{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.topic, diff)
		}
	}
}

func FuzzParseTopic(f *testing.F) {
	f.Add([]byte("v2/fw/request/1/chunk/0"))
	f.Add([]byte("v1/devices/me/attributes/request/7"))
	f.Fuzz(func(t *testing.T, topic []byte) {
		got := parseTopic(topic)
		if got.id < 0 || got.chunk < 0 || got.form >= forms {
			t.Errorf("%q: %+v", topic, got)
		}
	})
}

func FuzzChunkSize(f *testing.F) {
	for _, s := range []string{"", "0", "-1", "4096", "2147483648", "1e3", " 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := chunkSize(b); n < 0 || n > 1<<31-1 || err != nil && n != 0 {
			t.Errorf("%q: %d, %v", b, n, err)
		}
	})
}

func TestSubscribe(t *testing.T) {
	s := start(t, Config{}, nil)
	tests := []struct {
		filter string
		v3, v5 byte // for QoS 2 asked
	}{
		{"v1/devices/me/attributes", 1, 1},
		{"v1/devices/me/attributes/response/+", 1, 1},
		{"v1/devices/me/rpc/request/+", 1, 1},
		{"v1/devices/me/rpc/response/+", 1, 1},
		{"v2/fw/response/+/chunk/+", 1, 1},
		{"v2/fw/response/+", 1, 1},
		{"v2/fw/error", 1, 1},
		{"v2/sw/response/+/chunk/+", 1, 1},
		{"v2/sw/response/+", 1, 1},
		{"v2/sw/error", 1, 1},
		{"v2/a", 1, 1},
		{"v2/a/j", 1, 1},
		{"v2/a/res/+", 1, 1},
		{"v2/a/res/j/+", 1, 1},
		{"v1/gateway/attributes", 1, 1},
		{"#", 0x80, 0x8f},
		{"+/+", 0x80, 0x8f},
		{"$SYS/#", 0x80, 0x8f},
		{"v1/devices/me/#", 0x80, 0x8f},
		{"v1/devices/me/attributes/response/1", 1, 1},
		{"v2/fw/response/1/chunk/3", 1, 1},
		{"v2/sw/response/+/chunk/2147483647", 1, 1},
		{"v2/fw/response/1/chunk/99999999999", 0x80, 0x8f},
		{"v2/fw/response/1/chunk/", 0x80, 0x8f},
		{"v2/fw/response/a/chunk/1", 0x80, 0x8f},
		{"v2/fw/response/1/2", 0x80, 0x8f},
		{strings.Repeat("1/", 1000), 0x80, 0x8f},
		{"v1/devices/d2/attributes", 0x80, 0x8f},
		{"v2/a/p", 0x80, 0x8f},
		{"a#b", 0x80, 0x8f},
		{"$share/g/v1/devices/me/attributes", 0x80, 0x9e},
		{"$share/g", 0x80, 0x8f},
	}
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		c := s.login(t, v)
		all := subscribe(99, 0)
		var codes []byte
		for i, tt := range tests {
			want := tt.v3
			if v == mqttwire.V5 {
				want = tt.v5
			}
			c.subscribed(subscribe(uint16(i+1), 2, tt.filter), want)
			all.Filters = append(all.Filters, mqttwire.Filter{Topic: []byte(tt.filter)})
			codes = append(codes, max(want, 1)&^1) // QoS 0 asked
			if want > 1 {
				codes[i] = want
			}
		}
		c.subscribed(all, codes...)
		c.wantAlive()
	})
}

func TestUnsubscribe(t *testing.T) {
	s := start(t, Config{}, nil)
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		c := s.login(t, v)
		c.subscribed(subscribe(1, 0, "v2/a"), 0)
		c.send(&mqttwire.Unsubscribe{PacketID: 2, Filters: [][]byte{[]byte("v2/a"), []byte("v2/a/j"), []byte("#")}})
		ack, ok := c.next().(*mqttwire.SubAck)
		if !ok || ack.Type != mqttwire.UNSUBACK || ack.PacketID != 2 {
			t.Fatalf("got %+v", ack)
		}
		if v == mqttwire.V5 && string(ack.Codes) != "\x00\x11\x11" {
			t.Errorf("codes %x", ack.Codes)
		}
	})
}
