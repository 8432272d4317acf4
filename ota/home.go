package ota

import (
	"maps"
	"slices"
	"time"
)

// Online is how long a device counts as there after its last word, when it has
// no session.
const Online = 10 * time.Minute

// Device is one device: who it is, what it runs, what it waits for.
type Device struct {
	ID      DeviceID
	Tenant  TenantID
	Owner   OwnerID
	Name    string // unique within the tenant
	Profile ProfileID
	Zone    string // IANA name, "" when unknown
	Groups  []GroupID
	Created time.Time

	Credentials Credentials // how it proves who it is
	Provisioned time.Time   // when it has made itself known; zero: it has not
	Claim       Claim       // whether it may be claimed

	Heard    time.Time // its last word, to the minute or so
	Sessions []Session
	Firmware Track
	Software Track
	Updates  int // how many it has had: the next one's id
}

// Session is one open connection of a device.
type Session struct {
	ID        SessionID
	Transport string
	Since     time.Time
}

// maxSessions bounds the sessions that a device's home remembers; the oldest go.
const maxSessions = 8

// Track returns what concerns k.
func (d *Device) Track(k Kind) *Track {
	if k == Software {
		return &d.Software
	}
	return &d.Firmware
}

// Online says whether the device is there: a session is open, or it was heard
// within the last ten minutes.
func (d *Device) Online(now time.Time) bool {
	return len(d.Sessions) > 0 || !d.Heard.IsZero() && now.Sub(d.Heard) < Online
}

// Hear notes a word of the device, which puts what waited for it back into the
// line.
func (d *Device) Hear(now time.Time) {
	d.Heard = now
	d.Firmware.Heard()
	d.Software.Heard()
}

// OpenSession notes a session; noting it twice changes nothing.
func (d *Device) OpenSession(s Session) {
	d.CloseSession(s.ID)
	d.Sessions = append(d.Sessions, s)
	if n := len(d.Sessions); n > maxSessions {
		d.Sessions = d.Sessions[n-maxSessions:]
	}
}

// CloseSession forgets a session; false where it was not known.
func (d *Device) CloseSession(id SessionID) bool {
	n := len(d.Sessions)
	d.Sessions = slices.DeleteFunc(slices.Clone(d.Sessions), func(s Session) bool { return s.ID == id })
	return len(d.Sessions) < n
}

// Home is one noun with everything that belongs to it: what one commit writes
// whole. Exactly one of the nouns is set, the one that Ref names.
type Home struct {
	Ref      Ref
	Version  uint64 // 0: not stored yet; each commit adds one
	LastTurn TurnID // of the commit that made this version

	Device   *Device
	Profile  *Profile
	Package  *Package
	Rollout  *Rollout
	Job      *Job
	Approval *Approval
	Inlet    *InletState

	Alarms  []Alarm   // what people should look at, the oldest first
	Marks   []Mark    // what was seen lately
	Pending []Pending // messages to itself that are due at a time
	Parked  []Parked  // runs that wait
	NextNum int       // number of the next pending message or parked run
}

// Pending is a message that a home has for itself.
type Pending struct {
	Num     int
	At      time.Time
	Event   Event
	Chain   string // the one chain that it is for, "" for whichever answers
	Kind    Kind
	Cause   string
	Rollout RolloutID
	State   State
}

// Parked is a run that waits. Data is the engine's: message, vars and step.
type Parked struct {
	Num    int
	At     time.Time // when it is due; zero: only an event wakes it
	Update string    // the id of the update that it is bound to, or ""
	Kind   Kind      // of that update
	Digest string    // the chain's revision
	Data   []byte
}

// Post makes a message due in this home.
func (h *Home) Post(p Pending) {
	p.Num = h.num()
	h.Pending = append(h.Pending, p)
}

// Park keeps a run and returns its number.
func (h *Home) Park(p Parked) int {
	p.Num = h.num()
	h.Parked = append(h.Parked, p)
	return p.Num
}

// Number takes a number that nothing else in this home has.
func (h *Home) Number() int { return h.num() }

func (h *Home) num() int {
	h.NextNum++
	return h.NextNum
}

// TenantOf names the tenant that the home belongs to.
func (h *Home) TenantOf() TenantID { return h.Ref.Tenant }

// Clone returns a copy that shares nothing that rules change in place.
func (h *Home) Clone() *Home {
	c := *h
	c.Alarms, c.Pending, c.Parked = slices.Clone(h.Alarms), slices.Clone(h.Pending), slices.Clone(h.Parked)
	c.Marks = slices.Clone(h.Marks)
	if h.Device != nil {
		d := *h.Device
		d.Groups, d.Sessions = slices.Clone(d.Groups), slices.Clone(d.Sessions)
		d.Credentials = d.Credentials.Clone()
		d.Firmware, d.Software = d.Firmware.clone(), d.Software.clone()
		c.Device = &d
	}
	if h.Profile != nil {
		p := *h.Profile
		p.Firmware, p.Software = p.Firmware.clone(), p.Software.clone()
		c.Profile = &p
	}
	if h.Package != nil {
		p := *h.Package
		p.Labels = maps.Clone(p.Labels)
		c.Package = &p
	}
	if h.Rollout != nil {
		r := *h.Rollout
		r.Args, r.Plan, r.Steps = maps.Clone(r.Args), slices.Clone(r.Plan), slices.Clone(r.Steps)
		if w := r.Wish; w != nil {
			x := *w
			r.Wish = &x
		}
		if a := r.Asked; a != nil {
			x := *a
			r.Asked = &x
		}
		c.Rollout = &r
	}
	if h.Approval != nil {
		a := *h.Approval
		a.Votes = slices.Clone(a.Votes)
		c.Approval = &a
	}
	if h.Inlet != nil {
		d := *h.Inlet
		c.Inlet = &d
	}
	if h.Job != nil {
		j := *h.Job
		j.Shards = slices.Clone(j.Shards)
		c.Job = &j
	}
	return &c
}

func (t Track) clone() Track {
	t.Assigned = t.Assigned.clone()
	if t.Update != nil {
		u := *t.Update
		if n := len(u.History); n > 0 { // most copies are made to add a step
			u.History = append(make([]Step, 0, n+1), u.History...)
		}
		u.Slots = slices.Clone(u.Slots)
		t.Update = &u
	}
	return t
}

func (a *Assignment) clone() *Assignment {
	if a == nil {
		return nil
	}
	c := *a
	c.Args = maps.Clone(a.Args)
	return &c
}

// Names lists what a home is found by among those of its type in its tenant
// ([Facts.Find]), of which each is unique: the first is its name. A home of a
// type without names has none.
func (h *Home) Names() []string {
	switch {
	case h.Device != nil:
		return []string{h.Device.Name}
	case h.Profile != nil:
		return h.Profile.names()
	case h.Package != nil:
		return []string{h.Package.Version.String()}
	}
	return nil
}

// Name is the name of a home, or "" where homes of its type have none.
func (h *Home) Name() string {
	if names := h.Names(); len(names) > 0 {
		return names[0]
	}
	return ""
}
