package http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
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
	mux.HandleFunc("/tiny", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"shared":{}}`)
	})
	mux.HandleFunc("/content", func(w http.ResponseWriter, r *http.Request) {
		g, err := os.Open(path)
		if err != nil {
			panic(err)
		}
		defer g.Close()
		http.ServeContent(w, r, "", time.Time{}, g)
	})
	pooled := sync.Pool{New: func() any {
		g, err := os.Open(path)
		if err != nil {
			panic(err)
		}
		return g
	}}
	mux.HandleFunc("/own", func(w http.ResponseWriter, r *http.Request) {
		var from, to int64
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			panic(err)
		}
		g := pooled.Get().(*os.File)
		defer pooled.Put(g)
		if _, err := g.Seek(from, io.SeekStart); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(to-from+1, 10))
		w.WriteHeader(http.StatusPartialContent)
		if _, err := w.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: g, N: to - from + 1}); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
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
	var conns [benchConns]net.Conn
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	before := cpu(b, floor)
	b.ResetTimer()
	for _, c := range conns {
		wg.Go(func() {
			r := bufio.NewReaderSize(c, 128<<10)
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := askOnce(c, r, request(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	used := cpu(b, floor) - before
	b.ReportMetric(float64(b.N)/used.Seconds(), "req/cpu-s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(0, "ns/op")
}

func askOnce(c net.Conn, r *bufio.Reader, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if s := string(line); first && !strings.Contains(s, " 20") {
			return fmt.Errorf("answered %q", s)
		} else if v, ok := strings.CutPrefix(s, "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return err
			}
		} else if s == "\r\n" {
			break
		}
	}
	_, err := r.Discard(length)
	return err
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
