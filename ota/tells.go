package ota

// Tells lists what the doors of rollouts must hear of the change from was to is,
// the homes of one device before and after a turn; is is nil where the device is
// deleted. It notes in is what it has said, so call it once for each commit, as
// the last thing before it.
//
// Whoever was never admitted by a permit has nothing to tell: such devices are
// counted where they lie.
func Tells(was, is *Home) []Outgoing {
	if was == nil || was.Device == nil {
		return nil
	}
	var out []Outgoing
	for _, k := range Kinds() {
		old, t := was.Device.Track(k), &Track{Tells: was.Device.Track(k).Tells}
		if is != nil {
			t = is.Device.Track(k)
		} else {
			t.Quits = true
		}
		x := teller{d: was.Device, t: t, k: k, out: &out}
		x.compare(old.Update, t.Update)
		x.free(old.Update, t.Update)
	}
	return out
}

// teller tells of one kind.
type teller struct {
	d   *Device
	t   *Track
	k   Kind
	out *[]Outgoing
}

func (x *teller) compare(old, u *Update) {
	quits := x.t.Quits
	x.t.Quits = false
	if u == nil || old != nil && old.ID != u.ID {
		x.replaced(old, quits)
		return
	}
	v := VerdictOf(u)
	switch {
	case quits && u.State.Final():
		x.gone(u)
		u.Admission = NotAdmitted
	case u.Admission == NotAdmitted && u.Permit == 0:
	case u.Closed != "":
		x.gone(u)
		u.Admission, u.Permit = NotAdmitted, 0
	case v != u.Verdict: // decided, decided otherwise, or opened again
		told := Told{Release: u.Permit != 0, Permit: u.Permit, From: u.Verdict, To: v}
		if v != "" && u.Admission == Lapsed {
			told.Admitted, u.Admission = 1, Admitted
		}
		x.tell(u, told)
		u.Verdict, u.Permit = v, 0
	case u.Permit == 0 || v != "":
	case u.State != Queued:
		if old != nil && old.State == Queued {
			x.tell(u, Told{Confirm: true, Permit: u.Permit, Fresh: u.Fresh})
		}
	case u.Away:
		x.tell(u, Told{Release: true, Permit: u.Permit, Admitted: -1})
		u.Admission, u.Permit = Lapsed, 0
	case old != nil && old.State == Queued && u.Fresh: // admitted by this turn, and not offered
		x.tell(u, Told{Release: true, Permit: u.Permit, Admitted: -1})
		u.Admission, u.Permit = old.Admission, 0
	default: // it is tried again, or was admitted again and not offered
		x.tell(u, Told{Release: true, Permit: u.Permit})
		u.Permit = 0
	}
	u.Fresh = false
}

// replaced gives back what an update had that another one has taken the place of.
func (x *teller) replaced(old *Update, quits bool) {
	if old != nil && old.Closed == "" && (!old.State.Final() || quits) {
		x.gone(old)
	}
}

// gone gives back what an update had that ended without a verdict, or whose device
// its rollout does not reach any more: the place is another's then, while a
// verdict that was told stays told.
func (x *teller) gone(u *Update) {
	told := Told{Release: u.Permit != 0, Permit: u.Permit}
	if u.Admission == Admitted {
		told.Admitted, told.Gone = -1, u.Verdict != ""
	}
	if told.Release || told.Admitted != 0 {
		x.tell(u, told)
	}
}

func (x *teller) tell(u *Update, told Told) {
	x.t.Tells++
	told.Num = x.t.Tells
	ref := Ref{x.d.Tenant, RolloutRef, string(u.Rollout)}
	*x.out = append(*x.out, Outgoing{To: ref, Message: Message{
		Event: Tell, Tenant: x.d.Tenant, Device: x.d.ID, Home: ref, Kind: x.k, Rollout: u.Rollout, Told: &told,
	}})
}

// Admit notes in the device's home that the door let it in.
func (u *Update) Admit(permit int) {
	u.Fresh = u.Admission != Admitted
	u.Admission, u.Permit = Admitted, permit
}

// NextPermit is the number that the track's next permit has: the same until a
// turn has told something.
func (t *Track) NextPermit() int { return t.Tells + 1 }
