package lwm2m

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/windlass-ota/windlass/internal/dtlsx"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Transport is the server for all clients of a process.
type Transport struct {
	c       Config
	d       Deps
	log     *slog.Logger
	udp     *net.UDPConn    // nil: no plain door
	dtls    *dtlsx.Listener // nil: no door with DTLS
	plain   peers
	reg     registry
	handler transports.Handler
	ctx     context.Context //nolint:containedctx // of Serve, without its end: a turn is ended when it has begun
	running sync.WaitGroup  // of peers and sessions
	counts  struct{ refused, dropped, pushes, pulls, blocks, stalled atomic.Uint64 }
}

var _ transports.Source = (*Transport)(nil)

// New opens the doors; nobody is answered before Serve.
func New(c Config, d Deps) (*Transport, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	c = c.filled()
	t := &Transport{c: c, d: d, log: d.Log, ctx: context.Background()}
	t.plain.init()
	t.reg.init()
	if c.Listen != "" {
		at, err := net.ResolveUDPAddr("udp", c.Listen)
		if err != nil {
			return nil, fmt.Errorf("lwm2m: listen: %w", err)
		}
		if t.udp, err = net.ListenUDP("udp", at); err != nil {
			return nil, fmt.Errorf("lwm2m: listen: %w", err)
		}
		_ = t.udp.SetReadBuffer(4 << 20) // as much of it as the system grants
	}
	if c.Secure != "" {
		l, err := dtlsx.Listen(c.Secure, t.handshakes())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lwm2m: listen: %w", err), t.Close())
		}
		t.dtls = l
	}
	return t, nil
}

// Addr is the address of the plain door, nil where there is none.
func (t *Transport) Addr() net.Addr {
	if t.udp == nil {
		return nil
	}
	return t.udp.LocalAddr()
}

// SecureAddr is the address of the door with DTLS, nil where there is none.
func (t *Transport) SecureAddr() net.Addr {
	if t.dtls == nil {
		return nil
	}
	return t.dtls.Addr()
}

// Close gives the addresses back. Serve does so by itself; twice is once.
func (t *Transport) Close() error {
	var errs []error
	if t.udp != nil {
		if err := t.udp.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if t.dtls != nil {
		if err := t.dtls.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats {
	return Stats{
		Registered: t.reg.len(), Peers: t.plain.len(), Refused: t.counts.refused.Load(), Dropped: t.counts.dropped.Load(), Pushes: t.counts.pushes.Load(),
		Pulls: t.counts.pulls.Load(), Blocks: t.counts.blocks.Load(), Stalled: t.counts.stalled.Load(),
	}
}

// Serve answers clients until ctx ends. Then it takes nothing more, ends the
// transfers under way, waits for the messages that it has handed over and
// returns nil. What was registered is registered again by its clients at the
// next server that they find.
func (t *Transport) Serve(ctx context.Context, h transports.Handler) error {
	t.handler, t.ctx = h, context.WithoutCancel(ctx)
	ends := make(chan error, 2)
	var doors sync.WaitGroup
	if t.udp != nil {
		doors.Go(func() { ends <- t.readPlain() })
	}
	if t.dtls != nil {
		doors.Go(func() { ends <- t.acceptSecure(ctx) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ends:
	}
	t.endAll()
	stopped := t.Close()
	doors.Wait()
	t.plain.close()
	t.running.Wait()
	if ctx.Err() != nil {
		return stopped
	}
	return err
}

// endAll ends all registrations, some at a time.
func (t *Transport) endAll() {
	slots := make(chan struct{}, 64)
	var ending sync.WaitGroup
	for _, s := range t.reg.all() {
		slots <- struct{}{}
		ending.Go(func() {
			s.end()
			<-slots
		})
	}
	ending.Wait()
}

// handle goes through the door.
func (t *Transport) handle(m ota.Message) ([]ota.Reply, error) { return t.handler.Handle(t.ctx, m) }
