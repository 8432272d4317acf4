package redis

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

const (
	busQueue   = 1024            // batches of words that wait for their taker
	busIdle    = 3 * time.Second // after so long a silence the connection is tried
	busBackoff = 100 * time.Millisecond
)

// Bus carries words between processes over channels of Redis, one for each
// process. On a cluster these are sharded, so that words pass only the masters
// of the one slot. Words to this process itself do not leave it.
type Bus struct {
	s       *Store
	name    string
	sharded bool
	dropped atomic.Int64
	queue   chan []ota.Reply
	here    atomic.Bool // somebody listens in this process
	stale   chan stale  // copies that others should drop; see copies.go
	drop    func([]ota.Ref)
}

var _ ota.Bus = (*Bus)(nil)

// NewBus returns the bus of a process, which no other process may be called
// like.
func NewBus(s *Store, process string) (*Bus, error) {
	if !plainName(process) {
		return nil, ota.Errorf(ota.Invalid, "open bus", "%q cannot be a process", process)
	}
	_, sharded := s.c.(*redis.ClusterClient)
	return &Bus{s: s, name: process, sharded: sharded, queue: make(chan []ota.Reply, busQueue),
		stale: make(chan stale, busQueue), drop: func([]ota.Ref) {}}, nil
}

func busChannel(process string) string { return "bus:" + process }

// Process implements [ota.Bus].
func (b *Bus) Process() string { return b.name }

// Dropped is how many batches of words were lost because their taker was slow.
func (b *Bus) Dropped() int64 { return b.dropped.Load() }

// Publish implements [ota.Bus]. That a process hears does not say that it can
// still reach the device.
func (b *Bus) Publish(ctx context.Context, process string, words []ota.Reply) (bool, error) {
	const op = "publish words"
	if len(words) == 0 {
		return true, nil
	}
	if process == b.name {
		if !b.here.Load() {
			return false, nil
		}
		b.enqueue(words)
		return true, nil
	}
	text, err := encodeWords(words)
	if err != nil {
		return false, &ota.Error{Code: ota.Internal, Op: op, Err: err}
	}
	verb := "publish"
	if b.sharded {
		verb = "spublish"
	}
	n := redis.NewIntCmd(ctx, verb, busChannel(process), text)
	if err := b.s.ask(ctx, busLane(process), n); err != nil {
		return false, fail(op, err)
	}
	return n.Val() > 0, nil
}

// busLane is any number that belongs to a process's channel.
func busLane(process string) int {
	sum := 0
	for i := range len(process) {
		sum = sum*31 + int(process[i])
	}
	return sum & 0xf
}

func (b *Bus) enqueue(words []ota.Reply) {
	select {
	case b.queue <- words:
	default:
		b.dropped.Add(1)
	}
}

// Listen implements [ota.Bus]. take is called by one goroutine, in order; words
// that come while it is busy wait, up to a bound, and are dropped and counted
// beyond it. A connection that breaks is made anew; what is said meanwhile is
// heard by nobody, which its publisher is told. One Listen at a time.
func (b *Bus) Listen(ctx context.Context, take func([]ota.Reply)) error {
	if !b.here.CompareAndSwap(false, true) {
		return ota.Errorf(ota.Conflict, "listen for words", "this process listens already")
	}
	defer b.here.Store(false)
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() {
		b.receive(ctx, func() *redis.PubSub {
			if b.sharded {
				return b.s.c.SSubscribe(ctx, busChannel(b.name))
			}
			return b.s.c.Subscribe(ctx, busChannel(b.name))
		})
	})
	others.Go(func() { b.receive(ctx, func() *redis.PubSub { return b.s.c.Subscribe(ctx, copiesChannel) }) })
	others.Go(func() { b.tell(ctx) })
	for {
		select {
		case words := <-b.queue:
			take(words)
		case <-ctx.Done():
			return nil
		}
	}
}

// receive subscribes, and again whenever that breaks, until ctx ends.
func (b *Bus) receive(ctx context.Context, subscribe func() *redis.PubSub) {
	for ctx.Err() == nil {
		b.read(ctx, subscribe())
		pause(ctx, busBackoff)
	}
}

// read takes messages from one subscription until it fails or ctx ends.
func (b *Bus) read(ctx context.Context, sub *redis.PubSub) {
	defer sub.Close()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // again below
	defer stop()
	for tried := false; ; {
		m, err := sub.ReceiveTimeout(ctx, busIdle)
		var slow net.Error
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && errors.As(err, &slow) && slow.Timeout() && !tried:
			// Silence is no proof that anybody is there.
			if tried = true; sub.Ping(ctx) != nil {
				return
			}
			continue
		case err != nil:
			return
		}
		tried = false
		switch m := m.(type) {
		case *redis.Message:
			b.heard(m.Payload)
		case *redis.Subscription:
			if m.Count == 0 { // the slot moved to another master
				return
			}
		}
	}
}

func (b *Bus) heard(text string) {
	if strings.HasPrefix(text, "{") {
		b.heardStale(text)
		return
	}
	words, err := decodeWords([]byte(text))
	if err != nil {
		b.dropped.Add(1)
		return
	}
	b.enqueue(words)
}

// pause waits, shorter when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Words are JSON: two versions of the program may run side by side, and what
// one does not know it skips.
func encodeWords(words []ota.Reply) ([]byte, error) { return json.Marshal(words) }

func decodeWords(text []byte) ([]ota.Reply, error) {
	var words []ota.Reply
	err := json.Unmarshal(text, &words)
	return words, err
}
