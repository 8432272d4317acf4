package ota

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Tally is what the door of a rollout has counted by what its devices told it.
type Tally struct {
	Admitted int // by permits, less those given back
	Updated  int
	Failed   int
	Silent   int
	Gone     int    // of those that have decided: whom the rollout does not reach any more, so that they are not admitted
	InFlight int    // permits that are out
	Shut     int    // the epoch whose limit was crossed
	Why      string // in words, of Shut
}

// Decided is how many have come to an end.
func (t Tally) Decided() int { return t.Updated + t.Failed + t.Silent }

func (t Tally) decisions() Tally {
	return Tally{Updated: t.Updated, Failed: t.Failed, Silent: t.Silent}
}

// Door is what the door of a rollout that takes permits judges by. It follows
// from the rollout alone.
type Door struct {
	Open        bool
	Epoch       int
	Allowed     int // how many may be admitted in all; below 0: everybody
	MaxInFlight int // 0: no limit
	MaxFailed   float64
	MinDecided  int
	MaxFailures int // 0: no limit
	BaseDecided int // decided before, and so not judged
	BaseFailed  int
	Need        int // so many must have decided for the stage to pass; 0: it does not matter
}

// Door returns the rollout's door; ok is false where it takes no permits or lets
// nobody in any more.
func (r *Rollout) Door() (d Door, ok bool) {
	if !r.Permits || r.State == RolloutCancelled || r.State == RolloutReplaced {
		return Door{}, false
	}
	d = Door{Open: r.Open(), Epoch: r.Epoch, Allowed: r.Allowed, MaxFailed: 1, BaseDecided: r.Base.Decided(), BaseFailed: r.Base.Failed + r.Base.Silent}
	s := r.At(r.Stage)
	if s == nil {
		return d, true
	}
	d.MaxInFlight = s.MaxInFlight
	if r.State == RolloutDone {
		d.Allowed = -1
		return d, true
	}
	d.MaxFailed, d.MinDecided, d.MaxFailures = s.MaxFailed, s.MinDecided, s.MaxFailures
	if r.Allowed > 0 && r.Ripe.IsZero() {
		d.Need = s.Need(r.Allowed)
	}
	return d, true
}

// String packs the door into a text for stores: its members in order.
func (d Door) String() string {
	open := 0
	if d.Open {
		open = 1
	}
	return fmt.Sprintf("%d|%d|%d|%d|%s|%d|%d|%d|%d|%d", open, d.Epoch, d.Allowed, d.MaxInFlight, strconv.FormatFloat(d.MaxFailed, 'g', -1, 64),
		d.MinDecided, d.MaxFailures, d.BaseDecided, d.BaseFailed, d.Need)
}

// ParseDoor is the inverse of [Door.String].
func ParseDoor(text string) (d Door, err error) {
	parts := strings.Split(text, "|")
	if len(parts) != 10 {
		return d, Errorf(Internal, "read a door", "%q", text)
	}
	open := 0
	for i, to := range []*int{&open, &d.Epoch, &d.Allowed, &d.MaxInFlight, nil, &d.MinDecided, &d.MaxFailures, &d.BaseDecided, &d.BaseFailed, &d.Need} {
		if to == nil {
			d.MaxFailed, err = strconv.ParseFloat(parts[i], 64)
		} else {
			*to, err = strconv.Atoi(parts[i])
		}
		if err != nil {
			return Door{}, Errorf(Internal, "read a door", "%q: %w", text, err)
		}
	}
	d.Open = open == 1
	return d, nil
}

// Crossed says why a tally is over the door's limits, or "".
func (d Door) Crossed(t Tally) string {
	decided, failed := t.Decided()-d.BaseDecided, t.Failed+t.Silent-d.BaseFailed
	least := d.MinDecided
	if d.Allowed >= 0 {
		least = min(least, d.Allowed-d.BaseDecided)
	}
	switch {
	case d.MaxFailures > 0 && failed >= d.MaxFailures:
		return fmt.Sprintf("%d of %d failed, %d are the limit", failed, decided, d.MaxFailures)
	case decided >= max(least, 1) && float64(failed) > d.MaxFailed*float64(decided)+1e-9:
		return fmt.Sprintf("%d of %d failed, more than %s %%", failed, decided, strconv.FormatFloat(math.Round(d.MaxFailed*1e4)/100, 'g', -1, 64))
	}
	return ""
}

// Room is how many devices the door would let in now; below 0: any number. Those
// that are tried again were let in before, and need no place of the quota.
func (d Door) Room(t Tally) int {
	if !d.Open || t.Shut == d.Epoch {
		return 0
	}
	room := -1
	if d.Allowed >= 0 {
		room = max(d.Allowed-t.Admitted, 0) + max(t.Admitted+t.Gone-t.Decided()-t.InFlight, 0)
	}
	if d.MaxInFlight > 0 {
		if free := max(d.MaxInFlight-t.InFlight, 0); room < 0 || free < room {
			room = free
		}
	}
	return room
}

// Admission is what a device's update has of its rollout's quota.
type Admission byte

// The admissions.
const (
	NotAdmitted Admission = iota
	Admitted              // it is counted
	Lapsed                // it was counted; its device went away, and may come in without room in the quota
)

// Knock asks the door of a rollout to let a device in.
type Knock struct {
	Rollout Ref
	Device  DeviceID
	Permit  int // the number that its permit has then: the same on a second try
	Has     Admission
}

// PermitLease is how long a permit lasts that no commit has confirmed.
const PermitLease = time.Minute

// Answer is what a door says to a knock.
type Answer struct {
	Admitted bool
	Held     string // why not: a code of those below
	Door     Door
	Tally    Tally
}

// Why a door lets nobody in.
const (
	HeldGone    = "gone"    // there is no such door
	HeldShut    = "shut"    // paused, stopped, or not open yet
	HeldQuota   = "quota"   // the stage is full
	HeldFlight  = "flight"  // too many are under way
	HeldCrossed = "crossed" // a limit is crossed
)

// Told is what a device's turn tells the door of its rollout: by its commit's
// outbox, so at least once and in any order. With the device, Num names it.
type Told struct {
	Num      int
	Confirm  bool // the permit stays until it is released
	Permit   int  // of which permit
	Release  bool // the permit comes back
	Fresh    bool // of Confirm: the admission was made with the permit
	Admitted int  // added to the admissions
	Gone     bool // the device has decided, and is none of the rollout's any more
	From, To Verdict
}

// Verdict is what the offer of an update has come to, for its rollout.
type Verdict string

// The verdicts that are judged.
const (
	VerdictUpdated Verdict = "updated"
	VerdictFailed  Verdict = "failed"
	VerdictSilent  Verdict = "silent"
)

// VerdictOf is the verdict of an update, "" while there is none.
func VerdictOf(u *Update) Verdict {
	switch {
	case u == nil || u.Closed != "":
		return ""
	case u.State == Updated && !u.Left:
		return VerdictUpdated
	case u.State == Failed && u.Silent:
		return VerdictSilent
	case u.State == Failed, u.Left:
		return VerdictFailed
	}
	return ""
}

// Doors lets devices through the doors of rollouts that take permits, and
// counts what they tell. Implementations mean what [Book] does, each call in
// one piece.
type Doors interface {
	// Admit answers a knock.
	Admit(ctx context.Context, k Knock) (Answer, error)
	// Tell counts what a device tells the door of r, once however often it is
	// said, and judges. Where that gives the conductor something to do, its home
	// is due.
	Tell(ctx context.Context, r Ref, d DeviceID, t Told) error
	// Tally returns what the door of r has counted.
	Tally(ctx context.Context, r Ref) (Tally, error)
}

// Book is a door in memory: the meaning of [Doors] as plain rules.
type Book struct {
	Tally   Tally // without InFlight, which is the number of permits
	permits map[string]permit
	heard   map[DeviceID]string
	noticed int // the epoch in which the conductor was told that enough have decided
}

type permit struct {
	until time.Time // zero: confirmed
	fresh bool
}

func permitName(d DeviceID, num int) string { return string(d) + ":" + strconv.Itoa(num) }

// Now returns the tally, after taking back what no commit has confirmed.
func (b *Book) Now(now time.Time) Tally {
	for k, p := range b.permits {
		if !p.until.IsZero() && !p.until.After(now) {
			b.drop(k, p)
		}
	}
	t := b.Tally
	t.InFlight = len(b.permits)
	return t
}

func (b *Book) drop(k string, p permit) {
	delete(b.permits, k)
	if p.fresh {
		b.Tally.Admitted--
	}
}

// Admit answers a knock at d.
func (b *Book) Admit(d Door, k Knock, now time.Time) Answer {
	a := Answer{Door: d, Tally: b.Now(now)}
	name := permitName(k.Device, k.Permit)
	p, has := b.permits[name]
	switch {
	case has:
		a.Admitted = true
		if !p.until.IsZero() {
			p.until = now.Add(PermitLease)
			b.permits[name] = p
		}
		return a
	case !d.Open:
		a.Held = HeldShut
	case a.Tally.Shut == d.Epoch:
		a.Held = HeldCrossed
	case k.Has == NotAdmitted && d.Allowed >= 0 && a.Tally.Admitted >= d.Allowed:
		a.Held = HeldQuota
	case d.MaxInFlight > 0 && a.Tally.InFlight >= d.MaxInFlight:
		a.Held = HeldFlight
	}
	if a.Held != "" {
		return a
	}
	if b.permits == nil {
		b.permits = map[string]permit{}
	}
	fresh := k.Has != Admitted
	b.permits[name] = permit{now.Add(PermitLease), fresh}
	if fresh {
		b.Tally.Admitted++
	}
	a.Admitted, a.Tally = true, b.Now(now)
	return a
}

// Tell counts what a device tells, once; wake says that the conductor has
// something to do.
func (b *Book) Tell(d Door, from DeviceID, t Told) (wake bool) {
	num, released := ","+strconv.Itoa(t.Num)+",", ",r"+strconv.Itoa(t.Permit)+","
	heard := b.heard[from]
	if strings.Contains(heard, num) {
		return false
	}
	if b.heard == nil {
		b.heard, b.permits = map[DeviceID]string{}, mapOr(b.permits)
	}
	name := permitName(from, t.Permit)
	p, has := b.permits[name]
	switch {
	case t.Confirm && !strings.Contains(heard, released):
		if !has && t.Fresh {
			b.Tally.Admitted++
		}
		b.permits[name] = permit{}
	case t.Release:
		delete(b.permits, name)
		num += released
	}
	_ = p
	b.heard[from] = heard + num
	b.Tally.Admitted += t.Admitted
	if t.Gone {
		b.Tally.Gone++
	}
	b.Tally.count(t.From, -1)
	b.Tally.count(t.To, 1)
	return b.judge(d)
}

func mapOr[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}

func (t *Tally) count(v Verdict, by int) {
	switch v {
	case VerdictUpdated:
		t.Updated += by
	case VerdictFailed:
		t.Failed += by
	case VerdictSilent:
		t.Silent += by
	}
}

func (b *Book) judge(d Door) (wake bool) {
	if !d.Open || b.Tally.Shut == d.Epoch {
		return false
	}
	if why := d.Crossed(b.Tally); why != "" {
		b.Tally.Shut, b.Tally.Why = d.Epoch, why
		return true
	}
	if d.Need > 0 && b.noticed != d.Epoch && b.Tally.Decided() >= d.Need {
		b.noticed = d.Epoch
		return true
	}
	return false
}
