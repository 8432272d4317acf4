package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// Store is the state in one Redis. It is safe for concurrent use.
type Store struct {
	c     redis.UniversalClient
	batch *batcher
	clock *clock

	tenants sync.Map // ota.TenantID: known to be in the set of all tenants

	// committed hears of each commit that made something due (at that time), or
	// put a device into a line (the zero time). It must not block.
	moved     func(r ota.Ref) // the door of a rollout may let others in
	committed func(s slot, at time.Time)
}

var (
	_ ota.Homes  = (*Store)(nil)
	_ ota.Facts  = (*Store)(nil)
	_ ota.Lister = (*Store)(nil)
)

// New returns a store over c, which stays the caller's to close, after the
// store.
func New(c redis.UniversalClient) *Store {
	return &Store{c: c, batch: newBatcher(c), clock: &clock{c: c}, committed: func(slot, time.Time) {}, moved: func(ota.Ref) {}}
}

// Close ends the store's goroutines; what is under way is finished, what comes
// later is Busy. Call it once, before the client is closed.
func (s *Store) Close() error {
	s.batch.close()
	s.clock.wait.Wait()
	return nil
}

// Now is Redis's clock, cut to milliseconds. Every process sees the same, up to
// the time that a question takes on its way.
func (s *Store) Now() time.Time { return s.clock.now() }

// SyncClock compares with Redis's clock at once. It happens by itself every few
// seconds; a test that sets the clock calls it after.
func (s *Store) SyncClock(ctx context.Context) error { return s.clock.sync(ctx) }

// NewDevice returns a fresh id for a device with that name. The device is not
// stored; its number is never used again.
func (s *Store) NewDevice(ctx context.Context, t ota.TenantID, name string) (ota.DeviceID, error) {
	const op = "number a device"
	if !plainID(string(t)) {
		return "", ota.Errorf(ota.Invalid, op, "%q cannot be a tenant", t)
	}
	shard := ShardOf(t, name)
	c := redis.NewIntCmd(ctx, "incr", shardSlot(shard).in(t).next())
	if err := s.ask(ctx, laneOf(shard), c); err != nil {
		return "", fail(op, err)
	}
	num := uint64(c.Val())
	if num >= maxNum {
		return "", ota.Errorf(ota.Invalid, op, "shard %d is full", shard)
	}
	return ota.NewDeviceID(shard, num), nil
}

// ask runs commands of one slot in a shared pipeline and returns the first
// error that is not redis.Nil.
func (s *Store) ask(ctx context.Context, lane int, cmds ...redis.Cmder) error {
	if err := s.batch.do(ctx, lane, cmds...); err != nil {
		return err
	}
	return firstError(cmds)
}

// askAll runs commands of any slots in one pipeline of their own, for lists and
// sums that would hold others up.
func (s *Store) askAll(ctx context.Context, cmds ...redis.Cmder) error {
	if len(cmds) == 0 {
		return nil
	}
	p := s.c.Pipeline()
	for _, c := range cmds {
		_ = p.Process(ctx, c)
	}
	if _, err := p.Exec(ctx); err != nil && err != redis.Nil { //nolint:errorlint // Exec returns a command's own
		if first := firstError(cmds); first != nil {
			return first
		}
		return err
	}
	return nil
}

func firstError(cmds []redis.Cmder) error {
	for _, c := range cmds {
		if err := c.Err(); err != nil && err != redis.Nil { //nolint:errorlint // a command's own error is not wrapped
			return err
		}
	}
	return nil
}

// lane of a shard, and of anything else by its number.
func laneOf(shard int) int { return shard / 16 }

func (pl place) lane() int {
	if pl.num > 0 {
		return laneOf(pl.shard)
	}
	return pl.shard
}
