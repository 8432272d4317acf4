package redis

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// maxDead bounds the dead letters of a tenant in one slot.
const maxDead = 64

// prepare checks a turn and writes its program.
func (s *Store) prepare(ctx context.Context, t *ota.Turn) (*commit, error) {
	if err := checkTurn(t); err != nil {
		return nil, err
	}
	h := t.Home
	at, err := placeOf(h.Ref)
	if err != nil {
		return nil, ota.Errorf(ota.Invalid, "commit "+h.Ref.String(), "that cannot be an id")
	}
	if err := s.knowTenant(ctx, h.Ref.Tenant); err != nil {
		return nil, err
	}
	was := t.Was
	if was == nil && h.Version > 0 {
		if was, err = s.loadVersion(ctx, h); err != nil {
			return nil, err
		}
	}
	w := newWork()
	c := &commit{turn: t, at: at, w: w, p: &w.program}
	c.p.begin(at, t.ID, versionBytes(h.Version))
	settle(h)
	if err := c.checks(); err != nil {
		return nil, err
	}
	w.was, w.is = footprintIn(w.was, was), footprintIn(w.is, h)
	if t.Delete {
		w.is = w.is[:0]
		c.delete()
	} else if err := c.record(at, h); err != nil {
		return nil, err
	}
	c.claims(was)
	c.move(at, h.Ref, w.was, w.is)
	c.removeBegan(w.is)
	if err := c.values(); err != nil {
		return nil, err
	}
	for _, o := range t.Also {
		if err := s.also(ctx, c, o); err != nil {
			return nil, err
		}
	}
	return c, c.letters(s.Now())
}

func checkTurn(t *ota.Turn) error {
	op := "commit"
	switch {
	case len(t.ID) != headTurn-headVersion:
		return ota.Errorf(ota.Internal, op, "a turn's id has %d bytes, not %d", headTurn-headVersion, len(t.ID))
	case t.Home == nil:
		return ota.Errorf(ota.Internal, op, "a turn without a home")
	case t.Was != nil && (t.Was.Ref != t.Home.Ref || t.Was.Version != t.Home.Version):
		return ota.Errorf(ota.Internal, op+" "+t.Home.Ref.String(), "what it was is %s in version %d, not %d", t.Was.Ref, t.Was.Version, t.Home.Version)
	case t.Delete && t.Home.Version == 0:
		return ota.Errorf(ota.NotFound, "delete "+t.Home.Ref.String(), "it is not stored")
	}
	for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
		if err := checkNoun(h); err != nil {
			return err
		}
	}
	return nil
}

// checkNoun says whether a home holds what its reference names.
func checkNoun(h *ota.Home) error {
	var ok bool
	var id string
	tenant := h.Ref.Tenant
	switch h.Ref.Type {
	case ota.DeviceRef:
		if ok = h.Device != nil; ok {
			id, tenant = string(h.Device.ID), h.Device.Tenant
		}
	case ota.ProfileRef:
		if ok = h.Profile != nil; ok {
			id, tenant = string(h.Profile.ID), h.Profile.Tenant
		}
	case ota.PackageRef:
		if ok = h.Package != nil; ok {
			id, tenant = string(h.Package.ID), h.Package.Tenant
		}
	case ota.RolloutRef:
		if ok = h.Rollout != nil; ok {
			id, tenant = string(h.Rollout.ID), h.Rollout.Tenant
		}
	case ota.ApprovalRef:
		if ok = h.Approval != nil; ok {
			id, tenant = h.Approval.ID, h.Approval.Tenant
		}
	case ota.JobRef:
		if ok = h.Job != nil; ok {
			id, tenant = h.Job.ID, h.Job.Tenant
		}
	case ota.InletRef:
		if ok = h.Inlet != nil; ok {
			id, tenant = h.Inlet.ID, h.Inlet.Tenant
		}
	}
	if !ok || id != h.Ref.ID || tenant != h.Ref.Tenant {
		return ota.Errorf(ota.Internal, "commit "+h.Ref.String(), "the home holds another noun, id or tenant")
	}
	return nil
}

// checks are those of what began the turn and of what it was decided by.
func (c *commit) checks() error {
	t := c.turn
	if o := t.Began; o != nil {
		if o.Lease.Token > 0 {
			if leaseSlot(o.Lease) != c.at.slot {
				return ota.Errorf(ota.Internal, "commit "+t.Home.Ref.String(), "it began under the lease of another slot, %+v", o.Lease)
			}
			c.p.check("lease", leaseSlot(o.Lease).lease(), leaseHead(o.Lease))
		}
		switch {
		case o.Place != nil:
			c.p.check("began", c.at.part.wait(o.Place.Rollout), waitMember(o.Place.Kind, c.at.num), "")
		case o.Key != "":
			c.p.check("began", c.at.slot.due(), o.Key, o.Due)
		}
	}
	if t.Revision > 0 && t.Home.Device != nil {
		c.p.check("revision", c.at.part.rev(), t.Revision)
	}
	return nil
}

// leaseHead is how a lease's value begins while it is l's.
func leaseHead(l ota.Lease) string { return l.Owner + "|" + strconv.FormatInt(l.Token, 10) + "|" }

// record writes a home's record.
func (c *commit) record(at place, h *ota.Home) error {
	var b []byte
	if h == c.turn.Home {
		b = c.w.record
	}
	b, err := encodeHomeIn(b, h, h.Version+1, c.turn.ID)
	if h == c.turn.Home {
		c.w.record = b
	}
	if err != nil {
		return &ota.Error{Code: ota.Internal, Op: "commit", Err: err}
	}
	if c.turn.Raise && h.Job != nil {
		c.p.write("setrev", at.key, b, revisionPrefix)
	} else {
		c.p.write("set", at.key, b)
	}
	return nil
}

func (c *commit) delete() {
	c.p.write("del", c.at.key)
	c.p.write("gone", c.at.gone, string(c.turn.ID), goneFor)
	c.p.args[2] = c.p.key(c.at.gone)
	if c.at.num > 0 {
		c.p.write("del", c.at.part.values(c.at.num))
	}
}

// claims notes which names and tokens come and go.
func (c *commit) claims(was *ota.Home) {
	if h := c.turn.Home; h.Device == nil || was != nil && !c.turn.Delete && h.Device.Name == was.Device.Name && h.Device.Credentials.SameKeys(&was.Device.Credentials) {
		return
	}
	had, has := claimsOf(c.at, was), claimsOf(c.at, c.turn.Home)
	if c.turn.Delete {
		has = nil
	}
	c.added, c.dropped = without(has, had), without(had, has)
	for _, a := range c.added {
		c.p.check("claim", c.at.slot.claims(), a.note)
	}
	for _, d := range c.dropped {
		c.p.write("due", c.at.slot.claims(), 0, d.note)
	}
}

// removeBegan removes the entry that began the turn, whatever the home that was
// loaded said of it, unless the home has it coming still.
func (c *commit) removeBegan(is []fact) {
	o := c.turn.Began
	if o == nil {
		return
	}
	if p := o.Place; p != nil {
		for _, f := range is {
			if f.what == factWait && f.kind == p.Kind && f.id == string(p.Rollout) {
				return
			}
		}
		c.p.take(c.at, c.turn.Home.Ref, fact{what: factWait, kind: p.Kind, id: string(p.Rollout)})
		return
	}
	if o.Key == "" {
		return
	}
	for _, f := range is {
		if f.what == factDue && dueMember(c.at.short, f.key) == o.Key {
			c.p.write("due", c.at.slot.due(), score(f.score), o.Key)
			return
		}
	}
	c.p.write("undue", c.at.slot.due(), o.Key)
}

// move writes the difference between two footprints of the home at pl, and
// notes what the owner of the slot should hear of.
func (c *commit) move(pl place, r ota.Ref, was, is []fact) {
	compare(was, is, func(f fact) { c.p.take(pl, r, f) }, func(f fact, fresh bool) {
		c.p.put(pl, r, f, fresh)
		switch f.what {
		case factDue:
			c.wakes = append(c.wakes, time.UnixMilli(int64(f.score)))
		case factWait:
			c.wakes = append(c.wakes, time.Time{})
		}
	})
}

// also writes another home of the same slot.
func (s *Store) also(ctx context.Context, c *commit, h *ota.Home) error {
	at, err := placeOf(h.Ref)
	if err != nil || at.slot != c.at.slot || h.Ref == c.turn.Home.Ref || h.Device != nil {
		return ota.Errorf(ota.Internal, "commit "+c.turn.Home.Ref.String(), "%s cannot be written with it", h.Ref)
	}
	var was *ota.Home
	if h.Version > 0 {
		if was, err = s.loadVersion(ctx, h); err != nil {
			return err
		}
	}
	settle(h)
	c.p.check("version", at.key, versionBytes(h.Version))
	if err := c.record(at, h); err != nil {
		return err
	}
	c.move(at, h.Ref, footprint(was), footprint(h))
	return nil
}

// loadVersion returns what is stored of h, a Conflict where that is another
// version.
func (s *Store) loadVersion(ctx context.Context, h *ota.Home) (*ota.Home, error) {
	was, err := s.Load(ctx, h.Ref)
	if err != nil && ota.CodeOf(err) != ota.NotFound {
		return nil, err
	}
	if err != nil || was.Version != h.Version {
		return nil, ota.Errorf(ota.Conflict, "commit "+h.Ref.String(), "it was written since it was loaded")
	}
	return was, nil
}

// letters are what leaves the home: messages to others, and for people.
func (c *commit) letters(now time.Time) error {
	t := c.turn
	for i := range t.Out {
		text, err := json.Marshal(t.Out[i])
		if err != nil {
			return &ota.Error{Code: ota.Internal, Op: "commit a message", Err: err}
		}
		field := hex.EncodeToString([]byte(t.ID)) + "." + strconv.Itoa(i)
		c.p.write("put", c.at.slot.outbox(), field, text)
		c.p.write("due", c.at.slot.due(), now.UnixMilli(), outboxMember(field))
		c.wakes = append(c.wakes, now)
	}
	most := maxDead
	if t.Retried != "" { // it goes last of all: the new one may be the same one with another reason
		if !plainID(t.Retried) {
			return ota.Errorf(ota.NotFound, "commit "+t.Home.Ref.String(), "%q cannot be a dead letter", t.Retried)
		}
		c.p.check("letter", c.at.part.dead(), letterStart(t.Retried))
		c.p.write("undead", c.at.part.dead())
		most++
	}
	if t.Dead != nil {
		text, err := json.Marshal(t.Dead)
		if err != nil {
			return &ota.Error{Code: ota.Internal, Op: "commit a dead letter", Err: err}
		}
		c.p.write("dead", c.at.part.dead(), text, most, c.p.key(c.at.slot.drops()), string(t.Home.Ref.Tenant))
	}
	if t.Raise {
		// First of all writes: jobs are written with what it gives.
		c.p.tail = append([]any{"raise", c.p.key(part(tenantSlot(t.Home.Ref.Tenant)).rev())}, c.p.tail...)
	}
	return nil
}
