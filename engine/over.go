package engine

import (
	"errors"

	"github.com/windlass-ota/windlass/ota"
)

// traces says whether runs of the chain are traced. While no tap is on, that is
// a look at two pointers.
func (e *Engine) traces(c *Chain) bool {
	return e.looker != nil || e.taps.on.Load() != nil && len(e.taps.of(c)) > 0
}

// over notes that a run has ended: in the flight recorder, and with its trace
// for whoever looks on. One that is run again, since somebody wrote its home
// meanwhile, has not ended.
func (e *Engine) over(r *Run, home ota.Ref, dead *ota.DeadLetter, err error) {
	if errors.Is(err, errAgain) {
		return
	}
	o := outcome{end: RunEnded}
	switch {
	case dead != nil:
		o = outcome{end: RunKept, code: ota.Internal, step: dead.Step, letter: dead.ID, err: textError(dead.Reason)}
	case err != nil:
		o = outcome{end: RunFailed, code: codeOf(err), step: r.failedAt(), err: err}
	case r.park != nil:
		o = outcome{end: RunWaits, step: r.failedAt()}
	}
	seq := e.records.note(r, home, o)
	if r.trace != nil {
		if r.trace.ID = hexID(r.id); r.id == "" {
			r.trace.ID = e.records.id(seq)
		}
		e.show(r, home, o)
	}
}

// textError is an error that is a text already.
type textError string

func (t textError) Error() string { return string(t) }

// show finishes the trace of a run and hands it on.
func (e *Engine) show(r *Run, home ota.Ref, o outcome) {
	t := r.trace
	t.Record = Record{
		ID: t.ID, Chain: r.chain.Name, Digest: r.chain.Digest, Event: r.Msg.Event, Home: home, Kind: r.Msg.Kind, Asked: r.Home == nil,
		Started: r.Now, Took: r.took(), Path: r.chain.way(r.path), End: o.end, Step: o.step, Code: o.code, Letter: o.letter, Resumed: r.resumed,
	}
	if o.err != nil {
		t.Error = r.chain.mask.text(o.err.Error())
	}
	if r.park != nil {
		t.Until = r.park.At
	}
	if o.end == RunEnded || o.end == RunWaits {
		w := &r.wants
		t.Said = append(wanted(w.replies, w.pushes, w.values, w.out), changed(r.seen.was, r.Home)...)
	}
	t.Seen = r.witness()
	if e.looker != nil {
		e.looker(t)
	}
	e.taps.keep(e.taps.of(r.chain), t, r.chain.mask)
}
