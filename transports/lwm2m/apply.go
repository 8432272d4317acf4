package lwm2m

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// stop ends the transfer under way.
func (u *updater) stop() {
	if u.moving != nil {
		u.moving.cancel()
		u.moving = nil
	}
}

// apply tells the client to install what it has downloaded.
func (u *updater) apply(ctx context.Context) {
	if n, ok := u.readInt(ctx, u.o.state); ok {
		u.state = n
	}
	if u.state != u.o.downloaded {
		return // it installs already, or has lost what it had
	}
	u.began = true
	err := u.s.execute(ctx, u.at.Below(u.o.apply), "")
	no := (*answerError)(nil)
	switch {
	case errors.As(err, &no):
		u.fail(ctx, fmt.Sprintf("the client does not install: %v", no), false)
	case ctx.Err() != nil: // it has come back, and says itself how far it is
	case err != nil: // it may have restarted at once
		u.s.t.log.Info("a client did not answer that it installs", "device", u.s.ref.ID, "err", err)
	default:
		u.say(ctx, ota.Updating)
	}
}

// withdraw takes an offer back.
func (u *updater) withdraw(ctx context.Context) {
	u.stop()
	if u.began && u.o.states[u.state] != "" && u.state != u.o.installing {
		u.reset(ctx)
	}
	u.target, u.said, u.began = nil, "", false
}

// reset brings the client back to where it can take a package. It is no failure
// where it does not know how: the write of the package will tell.
func (u *updater) reset(ctx context.Context) {
	var err error
	if u.o.kind == ota.Firmware { // an empty URI resets (TS 1.0, E.6)
		err = u.s.write(ctx, u.at.Below(u.o.uri), "")
	} else {
		arg := ""
		if u.state == u.o.installed {
			arg = "1"
		}
		err = u.s.execute(ctx, u.at.Below(uninstall), arg)
	}
	if err != nil {
		u.s.t.log.Debug("a client was not reset", "device", u.s.ref.ID, "err", err)
	}
	for range 20 { // until it has done so
		n, ok := u.readInt(ctx, u.o.state)
		if !ok {
			return
		}
		if u.state = n; n == 0 {
			break
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	u.said, u.began = "", false
}
