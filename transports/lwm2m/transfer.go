package lwm2m

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
)

// transfer is a package on its way to a client.
type transfer struct {
	cancel context.CancelFunc
	pushes bool // we write; else the client fetches
	began  time.Time
	sent   atomic.Int64
}

// patience is how long the client may be silent: by what its blocks took so far
// where that is known, since a radio that takes a second for each block has its
// gaps, too.
func (x *transfer) patience(least time.Duration, done int64) time.Duration {
	const block, gaps, most = 1024, 60, 15 * time.Minute
	if done < 4*block {
		return 2 * least // it may have to make room first
	}
	each := time.Since(x.began) / time.Duration(done/block)
	return min(max(gaps*each, least), most)
}

// maxRestarts is how often a push is begun anew where the client has lost what it
// had of it, before it counts as failed.
const maxRestarts = 3

// push writes the package in blocks, beside the jobs of the session.
func (u *updater) push(ctx context.Context, how int) {
	ctx, cancel := context.WithCancel(ctx)
	x := &transfer{cancel: cancel, pushes: true, began: time.Now()}
	u.moving = x
	pkg, to := u.target, u.at.Below(u.o.pkg)
	if how == ota.ByObject19 {
		to = lwm2mwire.P(19, 0, 0)
	}
	u.s.t.counts.pushes.Add(1)
	u.s.t.running.Go(func() {
		defer cancel()
		r, err := u.upload(ctx, x, pkg, to)
		u.s.do(func(ctx context.Context) {
			if u.moving == x {
				u.moving = nil
				u.pushed(ctx, x, pkg, r, err)
			}
		})
	})
}

func (u *updater) upload(ctx context.Context, x *transfer, pkg *ota.Package, to lwm2mwire.Path) (r *coapx.Message, err error) {
	src := &source{s: u.s, pkg: pkg}
	defer src.close()
	m := coapx.Request(codes.PUT, to.String()).Set(message.ContentFormat, uint32(lwm2mwire.Opaque))
	for try := 0; try <= maxRestarts; try++ {
		if err := u.s.awake(ctx, false); err != nil {
			return nil, err
		}
		x.sent.Store(0)
		r, err = u.s.through().conn.Upload(ctx, m, coapx.Upload{
			Size: pkg.Size, Read: src.read, SZX: coapx.MaxSZX,
			Patience: func() time.Duration { return x.patience(u.s.t.c.Stall, x.sent.Load()) },
			Sent: func(n int64) {
				if x.sent.Swap(n) == 0 && n < pkg.Size {
					u.s.do(func(ctx context.Context) {
						if u.moving == x {
							u.say(ctx, ota.Downloading)
						}
					})
				}
			},
		})
		if err != nil || r.Code != codes.RequestEntityIncomplete {
			return r, err
		}
	}
	return r, err
}

// pushed looks at how a push has ended.
func (u *updater) pushed(ctx context.Context, x *transfer, pkg *ota.Package, r *coapx.Message, err error) {
	where := fmt.Sprintf("after %d of %d bytes", x.sent.Load(), pkg.Size)
	refusal := (*refusedError)(nil)
	switch {
	case errors.Is(err, coapx.ErrSilent):
		u.s.t.counts.stalled.Add(1)
		u.fail(ctx, "the client fell silent "+where, true)
	case errors.As(err, &refusal): // another package is on its way, or none
		u.s.t.log.Info("a push has ended, since the package is not the client's any more", "device", u.s.ref.ID, "err", err)
		u.withdraw(ctx)
	case ctx.Err() != nil, errors.Is(err, coapx.ErrClosed), errors.Is(err, context.Canceled): // it comes back, and is offered it again
	case err != nil:
		u.fail(ctx, fmt.Sprintf("the package could not be written %s: %v", where, err), true)
	case r.Code>>5 != 2:
		u.fail(ctx, fmt.Sprintf("%v %s", &answerError{"the client refuses the package", r.Code}, where), r.Code>>5 == 5 || r.Code == codes.RequestEntityIncomplete)
	default:
		u.say(ctx, ota.Downloading) // of one block there was no time to say so
		u.look(ctx, 0)
	}
}

// look reads the state of a client that has all bytes, some times, for those that
// do not notify.
func (u *updater) look(ctx context.Context, times int) {
	n, ok := u.readInt(ctx, u.o.state)
	if ok && times < maxStill && u.still(ctx, n) {
		ok = false
	}
	if ok && (n != u.state || u.o.states[n] != u.said) {
		if u.o.states[n] != "" || u.began {
			u.onState(ctx, n)
		}
	}
	if u.said == ota.Downloading && times < 12 {
		pkg := u.target
		u.s.later(min(time.Second<<times, 5*time.Minute), func(ctx context.Context) {
			if u.target == pkg && u.began && u.moving == nil && u.said == ota.Downloading {
				u.look(ctx, times+1)
			}
		})
	}
}

// maxStill is how often a client is looked at that has all bytes and has not
// stirred since, before it counts as one that gave up: a minute in all.
const maxStill = 6

// still says whether a client at state n has neither moved nor failed. One whose
// library puts the blocks together hears of a package when it is whole, and may
// have answered the last block before it says that it has begun.
func (u *updater) still(ctx context.Context, n int64) bool {
	if u.said != ota.Downloading || n != u.state || u.o.states[n] != "" || n == u.o.installed {
		return false
	}
	r, ok := u.readInt(ctx, u.o.result)
	return ok && u.o.outcomeOf(r).state == ""
}

// pull writes a URI, from which the client fetches. ours says that it fetches
// from here, so that it is seen how far it is.
func (u *updater) pull(ctx context.Context, uri string, ours bool) {
	u.s.t.counts.pulls.Add(1)
	u.reached.Store(0)
	u.follow(ctx, ours)
	err := u.s.write(ctx, u.at.Below(u.o.uri), uri)
	no := (*answerError)(nil)
	switch {
	case errors.As(err, &no):
		u.fail(ctx, fmt.Sprintf("the client refuses the URI: %v", no), false)
	case errors.Is(err, coapx.ErrSilent):
		u.fail(ctx, "the client is silent", true)
	case err != nil:
		u.stop()
	}
}

// follow looks after a client that fetches from now on.
func (u *updater) follow(ctx context.Context, ours bool) {
	ctx, cancel := context.WithCancel(ctx)
	x := &transfer{cancel: cancel, began: time.Now()}
	u.moving = x
	u.fetched.Store(x.began.UnixNano())
	u.watch(ctx, x, ours)
}

// watch looks after a client that fetches. One that has fetched nothing for long
// is asked how far it is, and given up where it is at nothing.
func (u *updater) watch(ctx context.Context, x *transfer, ours bool) {
	u.s.later(u.s.t.c.Stall/2, func(context.Context) {
		if u.moving != x || ctx.Err() != nil {
			return
		}
		if underWay(u.said) && u.said != ota.Downloading { // it has come, and the rest is the state's time-out
			u.stop()
			return
		}
		done := u.reached.Load()
		silent := time.Since(time.Unix(0, u.fetched.Load()))
		if !ours || silent < x.patience(u.s.t.c.Stall, done) {
			u.watch(ctx, x, ours)
			return
		}
		n, ok := u.readInt(u.s.ctx, u.o.state)
		switch {
		case !ok, ok && (n == 0 || u.o.states[n] == ota.Downloading):
			u.s.t.counts.stalled.Add(1)
			u.fail(u.s.ctx, fmt.Sprintf("the client stopped fetching after %d of %d bytes", done, u.target.Size), true)
		default:
			u.onState(u.s.ctx, n)
			u.watch(ctx, x, ours)
		}
	})
}
