package http

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/http/httpload"
)

// The benchmarks compare what a server of ours can do with a second of its
// processor, which says more than what it does in a second: the load runs on
// the same cores. The server is a process of its own, this test binary, with
// the raw parts beside it.
//
//	go test ./transports/http -run xxx -bench . -benchtime 20000x -count 5
const (
	benchChunk = 64 << 10
	benchConns = 64
	benchFile  = 16 << 20
)

// benchServer serves on a port and says which; it ends when its input does.
func benchServer(path string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	f, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/cpu", func(w http.ResponseWriter, _ *http.Request) {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		fmt.Fprint(w, u.Utime.Nano()+u.Stime.Nano())
	})
	mux.Handle("/", httpload.Floor(path))
	pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Version: ota.Version{Title: "pump", Version: "1.10"}, Blob: "sum", Size: benchFile, FileName: "fw.bin"}
	answer := transports.HandlerFunc(func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event == ota.ChunkRequested {
			return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
		}
		return []ota.Reply{{Word: ota.SayAttributes, Shared: []byte(`{}`)}}, nil
	})
	t := New(Config{}, Deps{
		Listener: l, Router: transports.NewRouter(nil, nil), Blobs: &files{of: map[string]*os.File{"sum": f}},
		Log: slog.New(slog.DiscardHandler), Auth: transports.NewAuthenticator(facts{}, transports.Guard{}),
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	floor, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(floor, mux) //nolint:errcheck // it ends with the process
	fmt.Fprintln(os.Stdout, l.Addr(), floor.Addr())
	if err := t.Serve(ctx, answer); err != nil {
		panic(err)
	}
}

// startBench starts the server and returns the addresses of ours and of the raw
// parts.
func startBench(b *testing.B) (ours, floor string) {
	b.Helper()
	path := b.TempDir() + "/file"
	if err := os.WriteFile(path, noise(benchFile), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WINDLASS_BENCH_SERVER="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	if _, err := fmt.Fscan(out, &ours, &floor); err != nil {
		b.Fatal(err)
	}
	return ours, floor
}

func cpu(b *testing.B, addr string) time.Duration {
	b.Helper()
	resp, err := http.Get("http://" + addr + "/cpu")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(string(body), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n)
}

// load asks b.N times over many connections and reports what a second of the
// server's processor was good for.
func load(b *testing.B, addr, floor string, request func(i int64) string) {
	before := cpu(b, floor)
	b.ResetTimer()
	_, err := httpload.Load{Addr: addr, Conns: benchConns}.Run(b.Context(), int64(b.N), func(buf []byte, _ int, i int64) []byte {
		return append(buf, request(i)...)
	})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	used := cpu(b, floor) - before
	b.ReportMetric(float64(b.N)/used.Seconds(), "req/cpu-s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkChunk64K(b *testing.B) {
	ours, floor := startBench(b)
	piece := func(i int64) int64 { return i * 7 % (benchFile / benchChunk) }
	ranged := func(path string) func(int64) string {
		return func(i int64) string {
			off := piece(i) * benchChunk
			return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n", path, off, off+benchChunk-1)
		}
	}
	b.Run("floor=own-range", func(b *testing.B) { load(b, floor, floor, ranged("/own")) })
	b.Run("windlass=chunk", func(b *testing.B) {
		load(b, ours, floor, func(i int64) string {
			return fmt.Sprintf("GET /api/v1/T1/firmware?title=pump&version=1.10&size=%d&chunk=%d HTTP/1.1\r\nHost: x\r\n\r\n", benchChunk, piece(i))
		})
	})
	b.Run("windlass=range", func(b *testing.B) { load(b, ours, floor, ranged("/api/v1/T1/firmware?title=pump&version=1.10")) })
	b.Run("net/http=ServeContent", func(b *testing.B) { load(b, floor, floor, ranged("/content")) })
}

func BenchmarkPoll(b *testing.B) {
	ours, floor := startBench(b)
	b.Run("floor=tiny", func(b *testing.B) {
		load(b, floor, floor, func(int64) string { return "GET /tiny HTTP/1.1\r\nHost: x\r\n\r\n" })
	})
	b.Run("windlass=attributes", func(b *testing.B) {
		load(b, ours, floor, func(int64) string {
			return "GET /api/v1/T1/attributes?clientKeys=a&sharedKeys=fw_title,fw_version HTTP/1.1\r\nHost: x\r\n\r\n"
		})
	})
}

// BenchmarkChunkSizes shows from which size on the kernel's own copying pays.
func BenchmarkChunkSizes(b *testing.B) {
	ours, floor := startBench(b)
	for _, size := range []int64{1000, 2 << 10, 4 << 10, 8 << 10, 16 << 10} {
		b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
			load(b, ours, floor, func(i int64) string {
				return fmt.Sprintf("GET /api/v1/T1/firmware?title=pump&version=1.10&size=%d&chunk=%d HTTP/1.1\r\nHost: x\r\n\r\n", size, i%500)
			})
		})
	}
}

// sink is a reply that nobody reads.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header       { return s.h }
func (*sink) Write(b []byte) (int, error) { return len(b), nil }
func (*sink) WriteHeader(int)             {}

// BenchmarkHandler is our own part of a chunk: all but net/http's, the files'
// and the kernel's.
func BenchmarkHandler(b *testing.B) {
	pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Version: ota.Version{Title: "pump", Version: "1.10"}, Blob: "sum", Size: benchFile, FileName: "fw.bin"}
	t := New(Config{}, Deps{Router: transports.NewRouter(nil, nil), Auth: transports.NewAuthenticator(facts{}, transports.Guard{})})
	h := t.Handler(transports.HandlerFunc(func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
	}))
	r, err := http.NewRequestWithContext(b.Context(), "HEAD", "/api/v1/T1/firmware?title=pump&version=1.10&size=65536&chunk=3", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:5000"
	b.ReportAllocs()
	for b.Loop() {
		w := &sink{h: http.Header{}}
		h.ServeHTTP(w, r)
		if w.h["Content-Length"][0] != "65536" {
			b.Fatal(w.h)
		}
	}
}
