// Package coapload is what drives the benchmarks of CoAP, and their raw part:
// clients that ask for blocks, and the least that could answer them.
package coapload

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
)

// BlockSize is the size of every block that is asked for.
const BlockSize = 1024

// Bare answers every request with the block of a file that it asks for: no
// device, no chain, no proof of the address, one socket, one goroutine. It is
// what a block over CoAP costs in Go at least. It returns when conn is closed.
func Bare(conn *net.UDPConn, file io.ReaderAt, size int64) error {
	in, out := make([]byte, 2048), make([]byte, 0, 2048)
	m := coapwire.Message{Options: make([]coapwire.Option, 0, coapwire.MaxOptions)}
	var number [4]byte
	for {
		n, from, err := conn.ReadFromUDPAddrPort(in)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil || m.Decode(in[:n]) != nil || m.Code != coapwire.GET {
			continue
		}
		b, _, ok := m.Block(coapwire.Block2)
		if !ok || b.Offset() >= size {
			continue
		}
		b.More = b.Offset()+b.Size() < size
		opts := [1]coapwire.Option{{Num: coapwire.Block2, Value: coapwire.AppendUint(number[:0], b.Uint())}}
		r := coapwire.Message{Type: coapwire.ACK, Code: coapwire.Content, ID: m.ID, Token: m.Token, Options: opts[:]}
		out = append(r.Append(out[:0]), 0xff)
		at := len(out)
		n, err = file.ReadAt(out[at:at+int(b.Size())], b.Offset())
		if n == 0 && err != nil {
			return err
		}
		if _, err := conn.WriteToUDPAddrPort(out[:at+n], from); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

// Load is clients that each ask for the blocks of a path, one after the other.
type Load struct {
	Addr    string
	Clients int
	Path    func(client int) []string // of a client, segments
	Blocks  uint32                    // how many the file has; they begin again behind the last
}

// Run asks until ctx ends or there were so many answers, and says how many there
// were. An answer that does not come within a second is asked for again.
func (l Load) Run(ctx context.Context, most int64) (int64, error) {
	var answered atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for i := range l.Clients {
		all.Go(func() {
			if err := l.client(ctx, i, most, &answered); err != nil {
				failed.Store(&err)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return answered.Load(), *err
	}
	return answered.Load(), nil
}

// errBlock: an answer is not the block that was asked for.
var errBlock = errors.New("coapload: the answer is no block")

func (l Load) client(ctx context.Context, client int, most int64, answered *atomic.Int64) error {
	at, err := netip.ParseAddrPort(l.Addr)
	if err != nil {
		return err
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	defer conn.Close()
	ask := coapwire.Message{Type: coapwire.CON, Code: coapwire.GET, Token: []byte{byte(client), byte(client >> 8)}}
	for _, s := range l.Path(client) {
		ask.Options = append(ask.Options, coapwire.Option{Num: coapwire.URIPath, Value: []byte(s)})
	}
	block := len(ask.Options)
	ask.Options = append(ask.Options, coapwire.Option{Num: coapwire.Block2})
	in, out := make([]byte, 2048), make([]byte, 0, 256)
	var m coapwire.Message
	var number [4]byte
	for n := uint32(client * 7); ctx.Err() == nil && answered.Load() < most; n++ { //nolint:gosec // few clients
		b := coapwire.Block{Num: n % l.Blocks, SZX: coapwire.MaxSZX}
		ask.ID = uint16(n) //nolint:gosec // it turns over
		ask.Options[block].Value = coapwire.AppendUint(number[:0], b.Uint())
		out = ask.Append(out[:0])
		for asked := false; ; {
			if !asked {
				if _, err := conn.Write(out); err != nil {
					return err
				}
				asked = true
				if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
					return err
				}
			}
			got, err := conn.Read(in)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				if ctx.Err() != nil {
					return nil
				}
				asked = false
				continue
			}
			if err != nil {
				return err
			}
			if err := m.Decode(in[:got]); err != nil {
				return err
			}
			if m.Code == coapwire.Empty { // do we hear it? we do
				if _, err := conn.Write((&coapwire.Message{Type: coapwire.RST, ID: m.ID}).Append(nil)); err != nil {
					return err
				}
				continue
			}
			if m.ID != ask.ID {
				continue // of a request that was said twice
			}
			if m.Code != coapwire.Content || len(m.Payload) == 0 {
				return errBlock
			}
			answered.Add(1)
			break
		}
	}
	return nil
}
