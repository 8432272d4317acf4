package coap

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/coap/coapload"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// The benchmarks compare what a server can do with a second of its processor:
// the load runs on the same cores. The server is a process of its own, this test
// binary, with the raw part beside it.
//
//	go test ./transports/coap -run xxx -bench . -benchtime 100000x -count 5
const benchFile = 1 << 20

const benchVariable = "WINDLASS_BENCH_SERVER"

func TestMain(m *testing.M) {
	if path := os.Getenv(benchVariable); path != "" {
		benchServer(path)
		return
	}
	os.Exit(m.Run())
}

// benchFiles are the one open file.
type benchFiles struct{ *os.File }

func (f benchFiles) Open(context.Context, string) (ota.Blob, error) { return f, nil }
func (benchFiles) Size() int64                                      { return benchFile }
func (benchFiles) Close() error                                     { return nil }

// benchServer serves and says where: ours, the raw part, and the processor's
// time that was used. It ends when its input does.
func benchServer(path string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	f, err := os.Open(path)
	must(err)
	pkg := &ota.Package{ID: "p", Kind: ota.Firmware, Version: ota.Version{Title: "pump", Version: "1.10"}, Blob: "0123456789abcdef", Size: benchFile}
	t, err := New(Config{Listen: "127.0.0.1:0"}, Deps{
		Auth: transports.NewAuthenticator(transporttest.Tokens{}, transports.Guard{}), Router: transports.NewRouter(nil, nil), Files: benchFiles{f}, Log: slog.New(slog.DiscardHandler),
	})
	must(err)
	floor, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(err)
	go func() { must(coapload.Bare(floor, f, benchFile)) }()
	cpu, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		for {
			c, err := cpu.Accept()
			must(err)
			var u syscall.Rusage
			must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
			fmt.Fprintln(c, u.Utime.Nano()+u.Stime.Nano())
			must(c.Close())
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	fmt.Fprintln(os.Stdout, t.Addr(), floor.LocalAddr(), cpu.Addr())
	must(t.Serve(ctx, transports.HandlerFunc(func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
	})))
}

func BenchmarkBlock1K(b *testing.B) {
	path := b.TempDir() + "/file"
	if err := os.WriteFile(path, noise(benchFile), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchVariable+"="+path)
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
	var ours, floor, cpu string
	if _, err := fmt.Fscan(out, &ours, &floor, &cpu); err != nil {
		b.Fatal(err)
	}
	used := func() time.Duration {
		c, err := net.Dial("tcp", cpu)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		var n int64
		if _, err := fmt.Fscan(c, &n); err != nil {
			b.Fatal(err)
		}
		return time.Duration(n)
	}
	for _, part := range []struct{ name, addr string }{{"floor=bare", floor}, {"windlass=block", ours}} {
		b.Run(part.name, func(b *testing.B) {
			before := used()
			b.ResetTimer()
			load := coapload.Load{Addr: part.addr, Clients: 32, Blocks: benchFile / coapload.BlockSize, Path: func(int) []string { return []string{"fw", "T1"} }}
			if _, err := load.Run(b.Context(), int64(b.N)); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/(used()-before).Seconds(), "blocks/cpu-s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
