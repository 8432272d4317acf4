package mqtt

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// FuzzSession sends any bytes behind a good CONNECT. The endpoint must neither
// panic nor hang, and must never hand over what is not whole.
func FuzzSession(f *testing.F) {
	for _, p := range []mqttwire.Packet{publish1(1, "v2/t", `{"a":1}`), ask("fw", 1, 0, "4"), subscribe(1, 1, "v2/a", "#"),
		&mqttwire.Ping{Type: mqttwire.PINGREQ}, &mqttwire.Close{Type: mqttwire.DISCONNECT},
		&mqttwire.Publish{QoS: 2, PacketID: 3, Topic: []byte("v1/devices/me/rpc/request/1"), Payload: []byte(`{"method":"getSessionLimits"}`)}} {
		for _, v := range versions {
			b, err := p.Append(nil, v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(v), b)
		}
	}
	shelf := files{}
	h := newShelf(shelf)
	f.Fuzz(func(t *testing.T, level byte, b []byte) {
		v := mqttwire.Version(level%3) + mqttwire.V31
		tr, err := New(Config{Listen: "127.0.0.1:0"}, Deps{Auth: tokens{}, Files: shelf, Router: transports.NewRouter(nil, nil), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		tr.handler = transports.HandlerFunc(func(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
			if m.Device != "d1" || m.Size < 0 || m.Chunk < 0 || m.Size > 65536 {
				t.Errorf("message %+v", m)
			}
			return h.handle(ctx, m)
		})
		ours, theirs := net.Pipe()
		ours.SetDeadline(time.Now().Add(patience))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			newConn(tr, theirs, nil).serve(context.Background())
		}()
		go func() {
			defer theirs.Close() // which ends serve, too
			if _, err := io.Copy(io.Discard, ours); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Error(err)
			}
		}()
		hello := encode(t, v, &mqttwire.Connect{Version: v, HasUserName: true, UserName: []byte("T1")})
		if _, err := ours.Write(append(hello, b...)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err) // closed: the endpoint had enough of it
		}
		ours.Close()
		<-ended
		tr.workers.close()
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}
