package http

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// R7: connections that are cut at chunk boundaries, a byte before and a byte
// behind, cost a piece each and no more; by chunks, and by ranges of the whole.
func TestCutConnections(t *testing.T) {
	const chunk, cuts = 4096, 500
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	image := make([]byte, cuts*chunk+17)
	for i, r := 0, rand.New(rand.NewPCG(seed, 0)); i < len(image); i++ { //nolint:gosec // a test's
		image[i] = byte(r.Uint32())
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Version: ota.Version{Title: "pump", Version: "1"}, Blob: "sum", Size: int64(len(image)), FileName: "fw.bin"}
	tr := New(Config{}, Deps{
		Listener: l, Auth: transports.NewAuthenticator(many{}, transports.Guard{}), Router: transports.NewRouter(nil, nil),
		Blobs: &files{of: map[string]*os.File{"sum": f}}, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- tr.Serve(ctx, transports.HandlerFunc(func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
			return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
		}))
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for _, by := range []string{"chunks", "ranges"} {
		t.Run(by, func(t *testing.T) {
			var got []byte
			served, made := 0, 0
			for len(got) < len(image) {
				nc, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				r := bufio.NewReaderSize(nc, 16)
				for cut := false; !cut && len(got) < len(image); {
					from := len(got)
					if by == "chunks" {
						from = len(got) / chunk * chunk
						fmt.Fprintf(nc, "GET /api/v1/T1/firmware?title=pump&version=1&size=%d&chunk=%d HTTP/1.1\r\nHost: x\r\n\r\n", chunk, from/chunk)
					} else {
						fmt.Fprintf(nc, "GET /api/v1/T1/firmware?title=pump&version=1 HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n", from, min(from+chunk, len(image))-1)
					}
					resp, err := http.ReadResponse(r, nil)
					if err != nil || resp.StatusCode/100 != 2 {
						t.Fatalf("at %d: %v, %v", from, resp, err)
					}
					size := min(chunk, len(image)-from)
					served += size
					take := size
					if made < cuts {
						take, cut = size-1+made%3, true // a byte before, at, and behind the boundary, where the next is asked for
						made++
					}
					part, err := io.ReadAll(io.LimitReader(resp.Body, int64(min(take, size))))
					if err != nil {
						t.Fatal(err)
					}
					if by == "ranges" || len(part) == size {
						got = append(got[:from], part...) // a range goes on at any byte
					}
				}
				nc.Close()
			}
			if made != cuts || sha256.Sum256(got) != sha256.Sum256(image) {
				t.Fatalf("%d cuts, the image is equal: %v", made, sha256.Sum256(got) == sha256.Sum256(image))
			}
			if limit := len(image)*105/100 + cuts*chunk; served > limit {
				t.Errorf("%d bytes were sent, %d at most", served, limit)
			}
		})
	}
}
