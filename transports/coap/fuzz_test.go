package coap

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// FuzzDatagram: no datagram does harm, nobody but its device gets a byte of its
// package, and what is answered is a message, never larger than a block needs.
func FuzzDatagram(f *testing.F) {
	for _, m := range []coapwire.Message{
		get(1, "fw", "T1"), block2(get(2, "sw", "T1", "?size=1000", "?chunk=1"), 3, 4), post(3, `{"a":1}`, "api", "v1", "T1", "telemetry"), post(4, `[{"ts":1,"values":{"a":null}}]`, "api", "v1", "T1", "telemetry"),
		get(5, "api", "v1", "T1", "attributes", "?sharedKeys=a,b"), get(6, "api", "v1", "nobody", "rpc"), {Type: coapwire.CON, ID: 7}, {Type: coapwire.RST, ID: 8}, {Type: coapwire.ACK, Code: coapwire.Content, ID: 9, Token: []byte("x")},
		{Type: coapwire.CON, Code: coapwire.GET, ID: 10, Token: []byte("t"), Options: append([]coapwire.Option{{Num: coapwire.Observe}}, get(1, "api", "v1", "T1", "attributes").Options...)},
	} {
		f.Add(m.Append(nil))
	}
	files := transporttest.NewFiles(f, false)
	files.Add(f, "sum", noise(5000))
	pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Version: ota.Version{Title: "pump", Version: "1"}, Blob: "sum", Size: 5000}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := New(Config{}, Deps{Auth: transports.NewAuthenticator(transporttest.Tokens{}, transports.Guard{}), Router: transports.NewRouter(nil, nil), Files: files, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		served := false
		tr.h = transports.HandlerFunc(func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
			mu.Lock()
			defer mu.Unlock()
			if m.Device == "" || m.Event == ota.ChunkRequested && m.Tenant == "" {
				t.Errorf("handed over in nobody's name: %+v", m)
			}
			if m.Event == ota.ChunkRequested {
				served = true
				return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
			}
			return nil, nil
		})
		p := &peer{address: "192.0.2.1:5", from: netip.MustParseAddrPort("192.0.2.1:5")}
		p.proven.Store(true)
		p.last.Store(time.Now().UnixNano())
		p.send = func(out []byte) error {
			mu.Lock()
			defer mu.Unlock()
			var m coapwire.Message
			if err := m.Decode(out); err != nil {
				t.Errorf("% x was answered by % x: %v", b, out, err)
			}
			if len(m.Payload) > 1024 || m.Code == coapwire.Content && len(m.Payload) > 600 && !served {
				t.Errorf("% x was answered by %d bytes", b, len(out))
			}
			return nil
		}
		x := newScratch()
		n := copy(x.in, b)
		tr.take(p, x, x.in[:n], x.m.Decode(x.in[:n]))
		close(tr.stopping)
		p.end(tr)
		tr.work.Wait()
	})
}
