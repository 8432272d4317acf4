package mqtt

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// S14: who says no CONNECT, or half of one, or stops amid its TLS handshake, is
// dropped in time, while others are served.
func TestS14HalfOpen(t *testing.T) {
	const n = 1500
	open, trust := secured(t)
	s := start(t, Config{ConnectTimeout: time.Second}, nil, open)
	var half []net.Conn
	for i := range n {
		at := s.mqtt.Addr()
		if i%3 == 2 {
			at = s.mqtt.AddrTLS()
		}
		nc, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetReadDeadline(time.Now().Add(patience))
		switch i % 3 {
		case 1:
			_, err = nc.Write([]byte{0x10, 0x80})
		case 2:
			_, err = nc.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc}) // the beginning of a hello
		}
		if err != nil {
			t.Fatal(err)
		}
		half = append(half, nc)
	}
	for range 20 {
		s.login(t, mqttwire.V5).wantAlive()
	}
	s.dialTLS(t, mqttwire.V5, trust)
	for i, nc := range half {
		if _, err := io.Copy(io.Discard, nc); err != nil && err.(net.Error).Timeout() { //nolint:errorlint,forcetypeassert // of a socket
			t.Fatalf("connection %d stands", i)
		}
	}
}

// R7: connections that are cut at every chunk boundary, a byte before and a byte
// behind it, cost a piece each and no more, and the image is whole in the end.
func TestCutConnections(t *testing.T) {
	const chunk, cuts = 4096, 500
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	image := make([]byte, cuts*chunk/2+17)
	for i, r := 0, rand.New(rand.NewPCG(seed, 0)); i < len(image); i++ { //nolint:gosec // a test's
		image[i] = byte(r.Uint32())
	}
	pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Blob: "b", Size: int64(len(image))}
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.ChunkRequested {
			return nil, nil
		}
		return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
	})
	s.files["b"] = image
	var got []byte
	served, made := 0, 0
	// A piece is one packet: its header, and then its bytes. The cut comes when so
	// many of these were read, or before anything was.
	for len(got) < len(image) {
		nc, err := net.Dial("tcp", s.mqtt.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		c := &client{t, nc, mqttwire.NewReader(nc, mqttwire.MaxRemaining), mqttwire.V311}
		c.send(&mqttwire.Connect{Version: c.v, CleanStart: true, HasUserName: true, UserName: []byte("T1")})
		c.next()
		for len(got) < len(image) {
			at := len(got) / chunk
			c.send(publish(fmt.Sprintf("v2/fw/request/1/chunk/%d", at), strconv.Itoa(chunk)))
			size := min(chunk, len(image)-at*chunk)
			served += size
			if made < cuts && made%2 == 0 { // a byte short of the boundary: the piece is lost
				made++
				if _, err := io.ReadFull(nc, make([]byte, size-1)); err != nil {
					t.Fatal(err)
				}
				break
			}
			p, ok := c.next().(*mqttwire.Publish)
			if !ok || len(p.Payload) != size {
				t.Fatalf("piece %d: got %d bytes, want %d", at, len(p.Payload), size)
			}
			got = append(got, p.Payload...)
			if made < cuts && made%2 == 1 { // at the boundary, or with the next piece asked for
				if made++; made%4 == 0 && len(got) < len(image) {
					c.send(publish(fmt.Sprintf("v2/fw/request/1/chunk/%d", at+1), strconv.Itoa(chunk)))
					served += chunk
				}
				break
			}
		}
		nc.Close()
	}
	if made != cuts || sha256.Sum256(got) != sha256.Sum256(image) {
		t.Fatalf("%d cuts, the image is equal: %v", made, sha256.Sum256(got) == sha256.Sum256(image))
	}
	if limit := len(image)*105/100 + cuts*chunk; served > limit {
		t.Errorf("%d bytes were asked for, %d at most", served, limit)
	}
	t.Logf("%d bytes in %d cuts, %d served", len(image), made, served)
}
