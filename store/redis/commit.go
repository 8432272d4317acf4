package redis

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

var theCommit = newScript(commitScript)

// maxDead bounds the dead letters of a tenant in one slot.
const maxDead = 64

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
		return fail("commit "+r.String(), err)
	}
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
	p       *program
	added   []claim // names and tokens that are new to a device
	dropped []claim // those that it gives up
	wakes   []time.Time
}

func (s *Store) run(ctx context.Context, c *commit) (said string, rev int64, err error) {
	cmd := theCommit.cmd(c.p.keys, c.p.arguments())
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
	c := &commit{turn: t, at: at, p: newProgram(at.key, t.ID, versionBytes(h.Version))}
	settle(h)
	c.checks()
	is := footprint(h)
	if t.Delete {
		is = nil
		c.delete()
	} else if err := c.record(at, h); err != nil {
		return nil, err
	}
	c.claims(was)
	c.move(at, h.Ref, footprint(was), is)
	c.removeBegan(is)
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
	case ota.JobRef:
		if ok = h.Job != nil; ok {
			id, tenant = h.Job.ID, h.Job.Tenant
		}
	}
	if !ok || id != h.Ref.ID || tenant != h.Ref.Tenant {
		return ota.Errorf(ota.Internal, "commit "+h.Ref.String(), "the home holds another noun, id or tenant")
	}
	return nil
}

// checks are those of what began the turn and of what it was decided by.
func (c *commit) checks() {
	t := c.turn
	if o := t.Began; o != nil {
		if o.Lease.Token > 0 {
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
}

// leaseHead is how a lease's value begins while it is l's.
func leaseHead(l ota.Lease) string { return l.Owner + "|" + strconv.FormatInt(l.Token, 10) + "|" }

// record writes the home's own record.
func (c *commit) record(at place, h *ota.Home) error {
	b, err := encodeHome(h, h.Version+1, c.turn.ID)
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
	if h := c.turn.Home; h.Device == nil || was != nil && !c.turn.Delete && h.Device.Name == was.Device.Name && h.Device.Token == was.Device.Token {
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
	if t.Dead != nil {
		text, err := json.Marshal(t.Dead)
		if err != nil {
			return &ota.Error{Code: ota.Internal, Op: "commit a dead letter", Err: err}
		}
		c.p.write("dead", c.at.part.dead(), text, maxDead, c.p.key(c.at.slot.drops()), string(t.Home.Ref.Tenant))
	}
	if t.Raise {
		// First of all writes: jobs are written with what it gives.
		c.p.tail = append([]any{"raise", c.p.key(part(tenantSlot(t.Home.Ref.Tenant)).rev())}, c.p.tail...)
	}
	return nil
}

// versionOf reads a version from a record.
func versionOf(record string) uint64 {
	if len(record) < headSize {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(record[:headVersion]))
}
