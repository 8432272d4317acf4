package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

var theCommit = newScript(commitScript)

// Commit writes a turn; see [ota.Homes]. Times in its homes are cut to whole
// milliseconds, so that what the caller keeps is what another would load. A
// Busy error leaves open whether the turn was written: the same turn may be
// committed again.
func (s *Store) Commit(ctx context.Context, t *ota.Turn) error {
	c, err := s.prepare(ctx, t)
	if err != nil {
		return err
	}
	r := t.Home.Ref
	if len(c.added) > 0 {
		if err := s.reserve(ctx, c.at, r, string(t.ID), c.added); err != nil {
			return err
		}
	}
	said, rev, err := s.run(ctx, c)
	if err != nil {
		return fail("commit "+r.String(), err) // it may be on its way still, with its memory
	}
	c.w.release()
	if err := c.refusal(said); err != nil {
		if len(c.added) > 0 {
			s.settleClaims(c.at, r.Tenant, c.added)
		}
		return err
	}
	if said == saidDone && t.Raise {
		rev, err = s.revisionOf(ctx, t)
		if err != nil {
			return err
		}
	}
	c.finish(rev)
	if len(c.added) > 0 {
		s.confirm(c.at, r, string(t.ID), c.added)
	}
	if len(c.dropped) > 0 {
		s.settleClaims(c.at, r.Tenant, c.dropped)
	}
	for _, w := range c.wakes {
		s.committed(c.at.slot, w)
	}
	return nil
}

// commit is a turn on its way.
type commit struct {
	turn    *ota.Turn
	at      place
	w       *work
	p       *program // of w
	added   []claim  // names and tokens that are new to a device
	dropped []claim  // those that it gives up
	wakes   []time.Time
}

// work is the memory of a commit, most of what it needs, to be used again by a
// later one.
type work struct {
	program
	all     []any // arguments of the command
	was, is []fact
	record  []byte
}

var works = sync.Pool{New: func() any {
	return &work{
		program: program{keys: make([]string, 0, 12), args: make([]any, 0, 96), tail: make([]any, 0, 64)},
		all:     make([]any, 0, 128), was: make([]fact, 0, 12), is: make([]fact, 0, 12), record: make([]byte, 0, 1024),
	}
}}

func newWork() *work {
	w, _ := works.Get().(*work)
	return w
}

// maxKept bounds the memory that a work keeps, in bytes of its record.
const maxKept = 16 << 10

// release gives the memory back. Only whoever has seen the command's answer may.
// What it held stays in it until the next commit writes over it.
func (w *work) release() {
	if cap(w.record) > maxKept || cap(w.all) > maxKept/16 {
		return
	}
	w.keys, w.args, w.tail, w.all = w.keys[:0], w.args[:0], w.tail[:0], w.all[:0]
	w.was, w.is, w.record = w.was[:0], w.is[:0], w.record[:0]
	works.Put(w)
}

func (s *Store) run(ctx context.Context, c *commit) (said string, rev int64, err error) {
	cmd := theCommit.cmdIn(c.w.all[:0], c.p.keys, c.p.args, endOfChecks, c.p.tail)
	c.w.all = cmd.Args()
	if err := s.ask(ctx, c.at.lane(), cmd); err != nil {
		return "", 0, err
	}
	answer, err := cmd.Slice()
	if err != nil || len(answer) == 0 {
		return "", 0, fmt.Errorf("script answered %v: %w", cmd.Val(), err)
	}
	said, _ = answer[0].(string)
	if len(answer) > 1 {
		rev, _ = answer[1].(int64)
	}
	return said, rev, nil
}

// refusal turns what the script said into an error, nil where all is written.
func (c *commit) refusal(said string) error {
	if said == saidWritten || said == saidDone {
		return nil
	}
	op := "commit " + c.turn.Home.Ref.String()
	switch said {
	case saidVersion:
		return ota.Errorf(ota.Conflict, op, "it was written since it was loaded")
	case saidBegan:
		return ota.Errorf(ota.Conflict, op, "what began this is done already")
	case saidLease:
		return ota.Errorf(ota.Conflict, op, "another process works this now")
	case saidRevision:
		return ota.Errorf(ota.Conflict, op, "assignments have changed since the target was chosen")
	case saidClaim:
		return ota.Errorf(ota.Conflict, op, "the reservation of its name ran out")
	case saidLetter:
		return ota.Errorf(ota.NotFound, op, "there is no dead letter %q any more", c.turn.Retried)
	case saidName:
		return ota.Errorf(ota.Invalid, op, "its name is taken")
	}
	return ota.Errorf(ota.Internal, op, "script answered %q", said)
}

// finish tells the turn's homes what was written.
func (c *commit) finish(rev int64) {
	t := c.turn
	for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
		h.Version++
		h.LastTurn = t.ID
		if t.Raise && h.Job != nil {
			h.Job.Revision = rev
		}
	}
}

// revisionOf reads what an earlier commit of the same turn put into its job.
func (s *Store) revisionOf(ctx context.Context, t *ota.Turn) (int64, error) {
	for _, h := range t.Also {
		if h.Job != nil {
			stored, err := s.Load(ctx, h.Ref)
			if err != nil {
				return 0, err
			}
			return stored.Job.Revision, nil
		}
	}
	return 0, nil
}
