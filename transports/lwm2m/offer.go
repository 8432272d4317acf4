package lwm2m

import (
	"context"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// offer brings a package to the client, unless it runs it, has it, or is at it.
// An offer may be said any number of times. One that was said, at said, before it
// was known how the update ended is answered by that.
func (u *updater) offer(ctx context.Context, pkg *ota.Package, said time.Time) {
	again := u.target != nil && u.target.ID == pkg.ID
	if again && (u.moving != nil || said.Before(u.over)) {
		return
	}
	u.stop()
	if !again {
		u.said = ""
	}
	u.target = pkg
	if !u.have {
		u.fail(ctx, fmt.Sprintf("the client has no object %d", u.o.id), false)
		return
	}
	u.s.readVersion(ctx)
	u.refresh(ctx)
	_, known := u.runs()
	switch {
	case u.atTarget():
		u.arrived(ctx, true)
	case !known && u.o.states[u.state] == "" && u.o.kind == ota.Firmware:
		u.fail(ctx, "the client does not say what firmware it runs", false)
	case u.state == u.o.installing:
		u.say(ctx, ota.Updating)
	case u.state == u.o.downloaded && u.holds(pkg):
		u.said = ""
		u.say(ctx, ota.Downloaded)
	case u.o.states[u.state] == ota.Downloading && again && u.how() == ota.ByURI: // perhaps from a process that has ended
		u.began = true
		u.say(ctx, ota.Downloading)
		u.follow(ctx, u.target.URL == "")
	default:
		if u.state > 0 {
			u.reset(ctx)
		}
		u.start(ctx)
	}
}

// holds says whether what the client has downloaded is the package: by its name,
// or since we brought it there.
func (u *updater) holds(pkg *ota.Package) bool {
	if u.version != "" {
		return told{name: u.name, version: u.version}.is(pkg.Version)
	}
	return u.began || rank(u.said) >= rank(ota.Downloaded)
}

// The delivery methods of object 5 (/5/0/9).
const (
	pullOnly = 0
	pushOnly = 1
)

// how is the way by which the target gets to the client.
func (u *updater) how() int {
	switch {
	case u.target.URL != "", u.delivery == pullOnly:
		return ota.ByURI
	case u.delivery == pushOnly:
		return ota.ByPackage
	}
	return u.s.profile().Strategy(u.o.kind)
}

// start brings the bytes, or the URI, to the client.
func (u *updater) start(ctx context.Context) {
	u.said, u.began, u.stale = "", true, max(u.result, 0)
	switch {
	case u.target.URL != "":
		u.pull(ctx, u.target.URL, false)
	case u.how() == ota.ByURI:
		uri, err := u.s.t.linkFor(u.s, u.s.profile(), u.target)
		if err != nil {
			u.fail(ctx, err.Error(), false)
			return
		}
		u.pull(ctx, uri, true)
	default:
		u.push(ctx, u.how())
	}
}
