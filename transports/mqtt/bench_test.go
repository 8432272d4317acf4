package mqtt

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/mqtt/mqttload"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// loader is what a child process does, so that its CPU time and memory are not
// counted as the endpoint's.
type loader struct {
	What    string // chunks, reports, idle
	Addr    string
	Clients int
	Size    int
	Window  int
	For     time.Duration
}

const loaderEnv = "WINDLASS_MQTT_LOADER"

// loadIfAsked runs the child's part.
func loadIfAsked() {
	text := os.Getenv(loaderEnv)
	if text == "" {
		return
	}
	var l loader
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	n, err := l.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, n)
	os.Exit(0)
}

func (l loader) run() (int64, error) {
	load := mqttload.Load{Addr: l.Addr, Clients: l.Clients, For: l.For, Token: func(i int) string { return "T" + strconv.Itoa(i) }}
	ctx := context.Background()
	if l.What == "idle" {
		conns, err := load.Idle(ctx)
		if err != nil {
			return 0, err
		}
		fmt.Fprintln(os.Stdout, "ready")
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // until the parent has measured
			return 0, err
		}
		mqttload.Close(conns)
		return int64(len(conns)), nil
	}
	if l.What == "reports" {
		body := []byte(`{"temperature":21.5,"battery":88,"fw_state":"DOWNLOADING","current_fw_title":"pump","current_fw_version":"1.2.3"}`)
		return load.Reports(ctx, l.Window, func(int, int) []byte { return body })
	}
	return load.Chunks(ctx, l.Size, 64)
}

// spawn starts the child.
func (l loader) spawn(b *testing.B) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	b.Helper()
	text, err := json.Marshal(l)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=none")
	cmd.Env, cmd.Stderr = append(os.Environ(), loaderEnv+"="+string(text)), os.Stderr
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
	return cmd, in, bufio.NewScanner(out)
}

// measure runs the child against addr and returns operations and the CPU time
// that this process spent meanwhile.
func (l loader) measure(b *testing.B, addr string) (ops float64, cpu time.Duration) {
	b.Helper()
	l.Addr = addr
	before := cpuTime(b)
	cmd, _, out := l.spawn(b)
	for out.Scan() {
		ops, _ = strconv.ParseFloat(out.Text(), 64)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return ops, cpuTime(b) - before
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchServer serves a package of 64 chunks from a file.
func benchServer(b *testing.B, chunk int) *Transport {
	b.Helper()
	path := filepath.Join(b.TempDir(), "firmware")
	if err := os.WriteFile(path, make([]byte, 64*chunk), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Blob: "p", Size: int64(64 * chunk)}
	tr, err := New(Config{Listen: "127.0.0.1:0", Settle: time.Millisecond},
		Deps{Auth: tokens{}, Files: oneFile{f, pkg.Size}, Router: transports.NewRouter(nil, nil), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- tr.Serve(ctx, transports.HandlerFunc(func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
			if m.Event != ota.ChunkRequested {
				return nil, nil
			}
			return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
		}))
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return tr
}

type oneFile struct {
	file *os.File
	size int64
}

func (f oneFile) Open(context.Context, string) (ota.Blob, error) { return f, nil }
func (f oneFile) ReadAt(p []byte, off int64) (int, error)        { return f.file.ReadAt(p, off) }
func (f oneFile) Size() int64                                    { return f.size }
func (f oneFile) Close() error                                   { return nil }
func (f oneFile) File() *os.File                                 { return f.file }

// bareServer is the floor.
func bareServer(b *testing.B, chunk int) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mqttload.Bare(ln, make([]byte, chunk)) }()
	b.Cleanup(func() {
		ln.Close()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return ln.Addr().String()
}

// BenchmarkFloor compares the endpoint, without chains, with the bare loop:
// both in one run, taking turns, by the server's CPU time.
func BenchmarkFloor(b *testing.B) {
	for _, l := range []loader{
		{What: "chunks", Clients: 64, Size: 16 << 10}, {What: "chunks", Clients: 64, Size: 1000}, {What: "chunks", Clients: 64, Size: 64 << 10},
		{What: "reports", Clients: 50, Window: 1}, {What: "reports", Clients: 50, Window: 20},
	} {
		b.Run(fmt.Sprintf("%s/size=%d/window=%d", l.What, l.Size, l.Window), func(b *testing.B) {
			ours, bare := benchServer(b, max(l.Size, 1)).Addr().String(), bareServer(b, l.Size)
			l.For = 500 * time.Millisecond
			var ops [2]float64
			var cpu [2]time.Duration
			for b.Loop() {
				for i, addr := range []string{ours, bare} {
					n, t := l.measure(b, addr)
					ops[i] += n
					cpu[i] += t
				}
			}
			a, f := ops[0]/cpu[0].Seconds(), ops[1]/cpu[1].Seconds()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(a, "ours/cpu-s")
			b.ReportMetric(f, "bare/cpu-s")
			b.ReportMetric(a/f, "ratio")
		})
	}
}

// BenchmarkIdle measures what a silent, subscribed connection keeps in memory.
func BenchmarkIdle(b *testing.B) {
	const clients = 10_000
	for b.Loop() {
		tr := benchServer(b, 1)
		heap, rss := transporttest.InMemory(b)
		cmd, in, out := loader{What: "idle", Addr: tr.Addr().String(), Clients: clients}.spawn(b)
		if !out.Scan() || out.Text() != "ready" {
			b.Fatal("the clients did not come up")
		}
		until(b, "all are at rest", func() bool { return !tr.busy() })
		heap2, rss2 := transporttest.InMemory(b)
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(heap2-heap)/clients, "heap+stack-B/conn")
		b.ReportMetric(float64(rss2-rss)/clients, "rss-B/conn")
	}
}

// busy says whether any connection is not at rest yet.
func (t *Transport) busy() bool {
	t.workers.mu.Lock()
	defer t.workers.mu.Unlock()
	return t.workers.running > t.workers.idle
}
