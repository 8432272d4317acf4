// Package httpload drives an HTTP server with raw connections that cost next to
// nothing, so that what is measured is the server. It also holds the floor that
// the transport is compared with ([Floor]).
//
// It measures nothing itself and asserts nothing: benchmarks and the bench
// command do.
package httpload

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Load says who drives the server.
type Load struct {
	Addr  string
	Conns int
}

// Request appends the bytes of request i of all, which goes out on connection
// conn, to b. It is called by all connections at once.
type Request func(b []byte, conn int, i int64) []byte

// Run sends n requests, one at a time on each connection, or fewer where ctx
// ends before that, and returns how many were answered. An answer that is no
// success, or has no length, is an error.
func (l Load) Run(ctx context.Context, n int64, request Request) (int64, error) {
	var next, answered atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, l.Conns)
	for conn := range l.Conns {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", l.Addr)
		if err != nil {
			failed <- fmt.Errorf("httpload: %w", err)
			break
		}
		wg.Go(func() {
			defer c.Close()
			var b []byte
			r := bufio.NewReaderSize(c, 128<<10)
			for i := next.Add(1); i <= n && ctx.Err() == nil; i = next.Add(1) {
				b = request(b[:0], conn, i)
				if err := ask(c, r, b); err != nil {
					failed <- fmt.Errorf("httpload: %w", err)
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	close(failed)
	return answered.Load(), <-failed
}

func ask(c net.Conn, r *bufio.Reader, request []byte) error {
	if _, err := c.Write(request); err != nil {
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
