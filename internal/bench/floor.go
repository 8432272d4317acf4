package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/windlass-ota/windlass/transports/coap/coapload"
	"github.com/windlass-ota/windlass/transports/http/httpload"
	"github.com/windlass-ota/windlass/transports/mqtt/mqttload"
)

// floorVerb makes this program a raw part instead of what measures it.
const floorVerb = "floor"

const floorReady = "floor ready "

// serveFloor serves one raw part until it is told to stop: "http FILE", "coap
// FILE", or "mqtt BYTES", which is the size of every chunk.
func serveFloor(args []string) error {
	if len(args) != 2 {
		return errors.New("floor: want http FILE, coap FILE or mqtt BYTES")
	}
	if args[0] == "coap" {
		return serveBlocks(args[1])
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	fmt.Fprintln(os.Stdout, floorReady+ln.Addr().String())
	ended := make(chan error, 1)
	switch args[0] {
	case "http":
		s := &http.Server{Handler: httpload.Floor(args[1]), ReadHeaderTimeout: time.Minute}
		go func() { ended <- s.Serve(ln) }()
	case "mqtt":
		size, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		go func() { ended <- mqttload.Bare(ln, make([]byte, size)) }()
	default:
		return fmt.Errorf("floor: no such part: %s", args[0])
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// serveBlocks answers with the blocks of a file until it is told to stop.
func serveBlocks(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	fmt.Fprintln(os.Stdout, floorReady+conn.LocalAddr().String())
	go func() {
		<-ctx.Done()
		_ = conn.Close() // which ends what reads it
	}()
	return coapload.Bare(conn, f, info.Size())
}

// floor starts a raw part as a process of its own.
func (b *bench) floor(ctx context.Context, args ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p, err := b.start(self, append([]string{floorVerb}, args...)...)
	if err != nil {
		return nil, "", err
	}
	line, err := p.Line(ctx, patience, floorReady)
	return p, strings.TrimPrefix(line, floorReady), err
}
