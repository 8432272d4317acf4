package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Transport is the endpoint. It is a [transports.Source], and each of its
// sessions is a [transports.Session].
type Transport struct {
	cfg                   Config
	auth                  Authenticator
	files                 Files
	provisioner           Provisioner
	router                *transports.Router
	doors                 *transports.Doors
	log                   *slog.Logger
	limits, gatewayLimits []byte
	nouns                 Nouns
	fleet                 Fleet
	dialects              dialects
	open                  []*door
	handler               transports.Handler
	workers               *workers
	memory                memory
	counts                counts

	stopping atomic.Bool
	running  sync.WaitGroup

	mu    sync.Mutex
	turns context.Context //nolint:containedctx // what turns run under; nil before Serve
	conns map[*conn]struct{}
	named map[clientKey]*conn // sessions with a client id
	kept  keeper              // sessions whose connection is gone
}

// clientKey is a client id in the eyes of one device: ids of different devices
// have nothing to do with each other.
type clientKey struct {
	device ota.Ref
	client string
}

type counts struct {
	accepted, resumed, refused, unknown, dropped, cut atomic.Uint64
}

// Stats are counters since the start.
type Stats struct {
	Open     int    // connections, those without a session yet included
	Kept     int    // sessions that wait for their clients to come back
	Accepted uint64 // sessions
	Resumed  uint64 // of them, those that went on where an earlier connection had ended
	Refused  uint64 // connections without one: bad tokens, no CONNECT in time, too many
	Unknown  uint64 // publishes on topics without a meaning
	Dropped  uint64 // words and replies that could not be said over MQTT
	Cut      uint64 // connections closed for what the device did, or did not take
}

var _ transports.Source = (*Transport)(nil)

// New binds the address, so that a port that is taken is known at start, and
// accepts nothing before Serve. Close is for a Transport that is never served.
func New(cfg Config, deps Deps) (*Transport, error) {
	if err := errors.Join(cfg.Validate(), deps.check(cfg)); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	t := &Transport{
		cfg: cfg, auth: deps.Auth, files: deps.Files, provisioner: deps.Claims, router: deps.Router, doors: deps.Doors, log: deps.Log, limits: cfg.sessionLimits(false), gatewayLimits: cfg.sessionLimits(true), nouns: deps.Nouns, fleet: deps.Fleet,
		workers: newWorkers(cfg.MaxTurns), conns: map[*conn]struct{}{}, named: map[clientKey]*conn{},
	}
	t.memory.limit = int64(cfg.MaxBuffered)
	if err := t.listen(deps.TLS); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	open, kept := len(t.conns), len(t.kept.of)
	t.mu.Unlock()
	c := &t.counts
	return Stats{open, kept, c.accepted.Load(), c.resumed.Load(), c.refused.Load(), c.unknown.Load(), c.dropped.Load(), c.cut.Load()}
}

// Serve accepts devices until ctx ends. Then it accepts and reads no more, waits
// for the messages that it has handed over, answers them, tells 5.0 clients that
// it shuts down, and returns nil.
func (t *Transport) Serve(ctx context.Context, h transports.Handler) error {
	turns := context.WithoutCancel(ctx) // a turn goes on when its asker goes
	t.mu.Lock()
	t.handler, t.turns = h, turns
	t.mu.Unlock()
	stop := context.AfterFunc(ctx, t.stop)
	defer stop()
	err := t.acceptAll(ctx, turns)
	t.stop()
	t.running.Wait()
	t.workers.close()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("mqtt: accept: %w", err)
}

// begin serves a connection, or closes it where there are too many, or where we
// are about to stop.
func (t *Transport) begin(turns context.Context, c *conn) {
	t.mu.Lock()
	full := len(t.conns) >= t.cfg.MaxConnections || t.stopping.Load()
	if !full {
		t.conns[c] = struct{}{}
		t.running.Add(1)
	}
	t.mu.Unlock()
	if full {
		t.counts.refused.Add(1)
		c.sock.Close()
		return
	}
	go func() {
		defer t.running.Done()
		c.serve(turns)
		t.mu.Lock()
		delete(t.conns, c)
		t.mu.Unlock()
	}()
}

// stop ends the accepting and wakes all who wait for their devices.
func (t *Transport) stop() {
	t.stopping.Store(true)
	if err := t.Close(); err != nil {
		t.log.Warn("mqtt listener did not close", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		c.wake()
	}
	t.kept.clear()
}
