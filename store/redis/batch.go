package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What is asked at the same time shares a pipeline: one write, one read and one
// wake-up of Redis for all of it, at less than half the CPU. Nobody waits for
// company; a lone request goes at once.
const (
	maxBatch     = 256              // requests in a pipeline
	batchTimeout = 10 * time.Second // of one pipeline, with what go-redis tries again
)

var errClosed = errors.New("store is closed")

// batcher sends requests by a few writers.
type batcher struct {
	c     redis.UniversalClient
	lanes []chan *request
	quit  chan struct{}
	wait  sync.WaitGroup
}

type request struct {
	cmds []redis.Cmder
	done chan struct{}
}

// newBatcher has two writers, so that one pipeline is filled while the other is
// under way. On a Cluster it has more, each for a part of the slots: a master
// that is away holds up what goes to it, and little else.
func newBatcher(c redis.UniversalClient) *batcher {
	lanes, writers := 1, 2
	if _, ok := c.(*redis.ClusterClient); ok {
		lanes, writers = 16, 1
	}
	b := &batcher{c: c, quit: make(chan struct{}), lanes: make([]chan *request, lanes)}
	for i := range b.lanes {
		b.lanes[i] = make(chan *request, maxBatch)
		for range writers {
			b.wait.Go(func() { b.write(b.lanes[i]) })
		}
	}
	return b
}

// do runs commands on one slot; lane is any number that belongs to the slot.
// Each command keeps its own error; the error returned says that the request
// as a whole got no answer, and whether it was carried out is unknown.
func (b *batcher) do(ctx context.Context, lane int, cmds ...redis.Cmder) error {
	r := &request{cmds: cmds, done: make(chan struct{})}
	select {
	case <-b.quit:
		return errClosed
	default:
	}
	select {
	case b.lanes[lane%len(b.lanes)] <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.quit:
		return errClosed
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.quit:
		b.wait.Wait() // the last batch may have had it
		select {
		case <-r.done:
			return nil
		default:
			return errClosed
		}
	}
}

func (b *batcher) write(lane chan *request) {
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case r := <-lane:
			batch = append(batch[:0], r)
		case <-b.quit:
			return
		}
	more:
		for len(batch) < maxBatch {
			select {
			case r := <-lane:
				batch = append(batch, r)
			default:
				break more
			}
		}
		b.exec(batch)
		clear(batch)
	}
}

// exec runs a batch and tells everybody.
func (b *batcher) exec(batch []*request) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	p := b.c.Pipeline()
	for _, r := range batch {
		for _, c := range r.cmds {
			_ = p.Process(ctx, c)
		}
	}
	_, _ = p.Exec(ctx) // each command has its own error
	var again []*scriptCmd
	for _, r := range batch {
		for _, c := range r.cmds {
			if s, ok := c.(*scriptCmd); ok && redis.HasErrorPrefix(s.Err(), "NOSCRIPT") {
				again = append(again, s)
			}
		}
	}
	if len(again) > 0 {
		for _, s := range again {
			s.byText()
			_ = p.Process(ctx, s)
		}
		_, _ = p.Exec(ctx)
	}
	for _, r := range batch {
		close(r.done)
	}
}

func (b *batcher) close() {
	close(b.quit)
	b.wait.Wait()
}

// send runs commands in one pipeline, scripts that Redis does not know by their
// text. Each command keeps its own error.
func (s *Store) send(ctx context.Context, cmds ...redis.Cmder) error {
	if len(cmds) == 0 {
		return nil
	}
	p := s.c.Pipeline()
	for _, c := range cmds {
		_ = p.Process(ctx, c)
	}
	_, _ = p.Exec(ctx) // each command has its own error
	again := false
	for _, c := range cmds {
		if x, ok := c.(*scriptCmd); ok && redis.HasErrorPrefix(x.Err(), "NOSCRIPT") {
			x.byText()
			_ = p.Process(ctx, x)
			again = true
		}
	}
	if again {
		_, _ = p.Exec(ctx)
	}
	return ctx.Err()
}

// script is a Lua script under its name for EVALSHA.
type script struct{ text, sha string }

func newScript(text string) script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // see above
	return script{text, hex.EncodeToString(sum[:])}
}

// scriptCmd calls a script by its digest, and by its text where Redis does not
// know it.
type scriptCmd struct {
	*redis.Cmd
	script script
}

func (s script) cmd(keys []string, args []any) *scriptCmd {
	return s.cmdIn(make([]any, 0, 3+len(keys)+len(args)), keys, args)
}

// cmdIn is cmd with memory for the command's own arguments, which belongs to the
// command until it is answered.
func (s script) cmdIn(all []any, keys []string, args ...[]any) *scriptCmd {
	all = append(all, "evalsha", s.sha, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	for _, more := range args {
		all = append(all, more...)
	}
	c := redis.NewCmd(context.Background(), all...)
	c.SetFirstKeyPos(3)
	return &scriptCmd{c, s}
}

func (s *scriptCmd) byText() {
	args := s.Args()
	args[0], args[1] = "eval", s.script.text
	s.Cmd = redis.NewCmd(context.Background(), args...)
	s.Cmd.SetFirstKeyPos(3)
}
