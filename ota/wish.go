package ota

import (
	"context"
	"crypto/rand"
	"slices"
	"time"
)

// Wish is an assignment that somebody asks for.
type Wish struct {
	Tenant  TenantID
	Package Ref    // of an assignment
	Kind    Kind   // of an unassignment; of an assignment the package's
	Target  Ref    // device or profile
	By      string // who asks
	Cause   string // "", or why we ask ourselves: rollback
	Chain   string // the conductor, "" for the one configured
	Args    map[string]string
	Own     RolloutID // the rollout whose own run asks, which is not ended by it: its run does that
}

// WishDone says what came of a wish.
type WishDone struct {
	Changed bool
	Rollout RolloutID // "" for a device's own assignment without a chain
	Package Version
}

// Wishes writes what operators want: the assignment, its rollout and the job or
// the message that carries it to the devices, in one commit. It offers nothing
// and moves no update.
type Wishes struct {
	Homes Homes
	Facts Facts  // fresh: the store itself
	Chain string // the conductor of a rollout that names none
	// NewID takes the number of a device that is about to be created.
	NewID func(ctx context.Context, t TenantID, name string) (DeviceID, error)
	// NewRollout names a rollout that is about to be created; nil: at random. Who
	// comes first in a rollout follows from its name and the devices'.
	NewRollout func() RolloutID
	// Plan works out the stages of a conductor with its params, and names its
	// revision; Invalid where the params do not fit. Nil: the conductor's own
	// run does that.
	Plan func(chain string, args map[string]string) (plan []Stage, revision string, err error)
}

// CreateDevice makes a device of a profile, with an access token that nobody
// knows yet. Where there is a device of that name already it returns that one,
// whatever its profile, and made is false: called twice, it makes one device.
// It is NotFound where there is no such profile.
func (w Wishes) CreateDevice(ctx context.Context, t TenantID, name, profile string) (device Ref, made bool, err error) {
	if err := CheckName("device", name); err != nil {
		return Ref{}, false, err
	}
	device, err = w.Facts.Find(ctx, t, DeviceRef, name)
	if CodeOf(err) != NotFound {
		return device, false, err
	}
	p, err := w.Facts.Find(ctx, t, ProfileRef, profile)
	if err != nil {
		return Ref{}, false, err
	}
	return w.create(ctx, t, Device{Name: name, Profile: ProfileID(p.ID), Credentials: Credentials{Token: rand.Text()}})
}

// create makes a device, or returns the one that was made meanwhile. It is
// Invalid where another device has its credentials.
func (w Wishes) create(ctx context.Context, t TenantID, d Device) (device Ref, made bool, err error) {
	if d.ID, err = w.NewID(ctx, t, d.Name); err != nil {
		return Ref{}, false, err
	}
	d.Tenant = t
	h := NewDevice(d, w.Homes.Now())
	err = w.Homes.Commit(ctx, &Turn{ID: NewTurnID(), Home: h})
	if CodeOf(err) == Invalid || CodeOf(err) == Conflict { // perhaps somebody was faster
		if is, ferr := w.Facts.Find(ctx, t, DeviceRef, d.Name); ferr == nil {
			return is, false, nil
		}
	}
	return h.Ref, err == nil, err
}

// maxTries bounds how often a wish is written again after a Conflict.
const maxTries = 8

// Assign makes an assignment. Assigning what is assigned already, with the same
// conductor, changes nothing. It is Invalid where the package does not fit the
// target.
func (w Wishes) Assign(ctx context.Context, x Wish) (WishDone, error) {
	ph, err := w.Homes.Load(ctx, x.Package)
	if err != nil {
		return WishDone{}, err
	}
	pkg := ph.Package
	x.Kind = pkg.Kind
	return w.retry(ctx, x, func(h *Home, profile ProfileID, was *Assignment) (*Assignment, error) {
		if err := CheckAssign(pkg, x.Tenant, x.Kind, profile); err != nil {
			return nil, err
		}
		if was != nil && was.Package == pkg.ID && (x.Chain == "" || x.Chain == was.Chain) {
			over, err := w.cancelled(ctx, x.Tenant, was.Rollout)
			if err != nil || !over {
				return was, err
			}
		}
		return &Assignment{Package: pkg.ID, At: w.Homes.Now(), By: x.By, Cause: x.Cause, Chain: x.Chain, Args: x.Args}, nil
	})
}

// cancelled says whether a rollout was, so that its package is assigned anew by
// another one.
func (w Wishes) cancelled(ctx context.Context, t TenantID, r RolloutID) (bool, error) {
	if r == "" {
		return false, nil
	}
	h, err := w.Homes.Load(ctx, Ref{t, RolloutRef, string(r)})
	if CodeOf(err) == NotFound {
		return false, nil
	}
	return err == nil && h.Rollout.State == RolloutCancelled, err
}

// Unassign takes an assignment away; where there is none nothing changes.
func (w Wishes) Unassign(ctx context.Context, x Wish) (WishDone, error) {
	return w.retry(ctx, x, func(*Home, ProfileID, *Assignment) (*Assignment, error) { return nil, nil })
}

type chooser func(h *Home, profile ProfileID, was *Assignment) (*Assignment, error)

func (w Wishes) retry(ctx context.Context, x Wish, choose chooser) (WishDone, error) {
	for try := 1; ; try++ {
		done, err := w.once(ctx, x, choose)
		if CodeOf(err) != Conflict || try == maxTries {
			return done, err
		}
	}
}

func (w Wishes) once(ctx context.Context, x Wish, choose chooser) (WishDone, error) {
	h, err := w.Homes.Load(ctx, x.Target)
	if err != nil {
		return WishDone{}, err
	}
	t := &Turn{ID: NewTurnID(), Was: h.Clone(), Home: h}
	switch {
	case h.Device != nil:
		return w.forDevice(ctx, x, t, choose)
	case h.Profile != nil:
		return w.forProfile(ctx, x, t, choose)
	}
	return WishDone{}, Errorf(Invalid, "assign", "a %s cannot have a package", x.Target.Type)
}

// forDevice writes a device's own assignment, which lives in the device's home
// together with the message that makes it felt.
func (w Wishes) forDevice(ctx context.Context, x Wish, t *Turn, choose chooser) (WishDone, error) {
	d := t.Home.Device
	track := d.Track(x.Kind)
	a, err := choose(t.Home, d.Profile, track.Assigned)
	if err != nil || a == track.Assigned {
		return WishDone{}, err
	}
	if err := w.follow(x, t, track.Assigned, a); err != nil {
		return WishDone{}, err
	}
	track.Assigned = a
	t.Home.Post(Pending{At: w.Homes.Now(), Event: Decide, Kind: x.Kind, Cause: x.Cause})
	return w.done(a), w.Homes.Commit(ctx, t)
}

// follow leaves messages that end the rollout of a device's assignment and begin
// that of another: where it names a conductor, it is followed by one.
func (w Wishes) follow(x Wish, t *Turn, was, a *Assignment) error {
	send := func(m Message) {
		m.Tenant, m.Home, m.Kind = x.Tenant, Ref{x.Tenant, RolloutRef, string(m.Rollout)}, x.Kind
		t.Out = append(t.Out, Outgoing{To: m.Home, Message: m})
	}
	if was != nil && was.Rollout != "" && was.Rollout != x.Own {
		send(Message{Event: Over, Rollout: was.Rollout, Cause: x.By})
	}
	if a == nil || a.Chain == "" {
		return nil
	}
	h, err := w.rollout(x, a, w.Homes.Now())
	if err != nil {
		return err
	}
	if was != nil && was.Package != a.Package {
		h.Rollout.Before = was.Package
	}
	send(Message{Event: Born, Rollout: a.Rollout, Born: h.Rollout})
	return nil
}

// forProfile writes a profile's assignment with a new rollout, its conductor
// due, and the job that tells every device.
func (w Wishes) forProfile(ctx context.Context, x Wish, t *Turn, choose chooser) (WishDone, error) {
	p := t.Home.Profile
	was := p.Assignment(x.Kind)
	a, err := choose(t.Home, p.ID, was)
	if err != nil || a == was {
		if err == nil && was != nil {
			return WishDone{Rollout: was.Rollout}, nil
		}
		return WishDone{}, err
	}
	now := w.Homes.Now()
	old, before, err := w.replaced(ctx, x, was, now)
	if err != nil {
		return WishDone{}, err
	}
	if old != nil {
		t.Also = append(t.Also, old)
	}
	job := newJob(x.Tenant, x.Target, x.Kind, x.Cause, now)
	if a != nil {
		h, err := w.rollout(x, a, now)
		if err != nil {
			return WishDone{}, err
		}
		h.Rollout.Job = job.Job.ID
		if was != nil && was.Package != a.Package {
			h.Rollout.Before = was.Package
		} else if was != nil && before != "" {
			h.Rollout.Before = before
		}
		t.Also = append(t.Also, h)
	}
	p.Assign(x.Kind, a)
	t.Also, t.Raise = append(t.Also, job), true
	return w.done(a), w.Homes.Commit(ctx, t)
}

// replaced ends the rollout of an assignment that another one takes the place
// of; nil where none is to be ended. before is what the target had until that
// rollout.
func (w Wishes) replaced(ctx context.Context, x Wish, was *Assignment, now time.Time) (old *Home, before PackageID, err error) {
	if was == nil || was.Rollout == "" || was.Rollout == x.Own {
		return nil, "", nil
	}
	old, err = w.Homes.Load(ctx, Ref{x.Tenant, RolloutRef, string(was.Rollout)})
	switch {
	case CodeOf(err) == NotFound:
		return nil, "", nil
	case err != nil:
		return nil, "", err
	case old.Rollout.State == RolloutCancelled:
		return nil, old.Rollout.Before, nil
	}
	before = old.Rollout.Before
	old.Rollout.End(RolloutReplaced, "", x.By, now)
	old.Parked, old.Pending = nil, nil
	old.Post(Pending{At: now, Event: Wished, Rollout: old.Rollout.ID})
	return old, before, nil
}

func (w Wishes) rollout(x Wish, a *Assignment, now time.Time) (*Home, error) {
	a.Rollout = RolloutID(NewID())
	if w.NewRollout != nil {
		a.Rollout = w.NewRollout()
	}
	if a.Chain == "" {
		a.Chain = w.Chain
	}
	h := &Home{Ref: Ref{x.Tenant, RolloutRef, string(a.Rollout)}, Rollout: &Rollout{
		ID: a.Rollout, Tenant: x.Tenant, Kind: x.Kind, Target: x.Target, Package: a.Package, Chain: a.Chain, Args: a.Args,
		By: a.By, Started: now, State: RolloutRunning,
	}}
	if w.Plan != nil {
		plan, revision, err := w.Plan(a.Chain, a.Args)
		if err != nil {
			return nil, err
		}
		h.Rollout.SetPlan(plan)
		h.Rollout.Revision = revision
	}
	h.Post(Pending{At: now, Event: RolloutStarted, Rollout: a.Rollout})
	return h, nil
}

// newJob makes the job that tells every device of a target what is in force.
func newJob(t TenantID, target Ref, k Kind, cause string, now time.Time) *Home {
	id := NewID()
	return &Home{Ref: Ref{t, JobRef, id}, Job: &Job{ID: id, Tenant: t, Type: JobDecide, Target: target, Kind: k, Cause: cause, State: JobRunning, Created: now}}
}

func (w Wishes) done(a *Assignment) WishDone {
	d := WishDone{Changed: true}
	if a != nil {
		d.Rollout = a.Rollout
	}
	return d
}

// NewDevice makes the home of a device that is about to be stored: it will
// decide at once what it shall run.
func NewDevice(d Device, now time.Time) *Home {
	h := &Home{Ref: RefOf(d.Tenant, d.ID), Device: &d}
	d.Created = now
	h.decideAll(now)
	return h
}

// Move gives a device another profile and lets it decide afresh. It is a
// Conflict while the device has a package of its own, which is made for the
// old profile.
func (h *Home) Move(p ProfileID, now time.Time) error {
	d := h.Device
	if d.Profile == p {
		return nil
	}
	for _, k := range Kinds() {
		if d.Track(k).Assigned != nil {
			return Errorf(Conflict, "move device "+d.Name, "it has %s of its own; unassign that first", k)
		}
	}
	d.Profile = p
	h.decideAll(now)
	return nil
}

func (h *Home) decideAll(now time.Time) {
	for _, k := range Kinds() {
		if !slices.ContainsFunc(h.Pending, func(p Pending) bool { return p.Event == Decide && p.Kind == k }) {
			h.Post(Pending{At: now, Event: Decide, Kind: k})
		}
	}
}
