package redis

import (
	"github.com/windlass-ota/windlass/ota"
)

// place is where a home lies and how it is called there.
type place struct {
	slot  slot
	part  part
	num   uint64 // of a device, else 0
	shard int    // of a device
	key   string // of its record
	gone  string // of its tombstone
	short string // among what is due
}

// placeOf says where the home of r lies. It is NotFound where r cannot be that
// of a home.
func placeOf(r ota.Ref) (place, error) {
	if !plainID(string(r.Tenant)) {
		return place{}, ota.Errorf(ota.NotFound, r.String(), "%q cannot be a tenant", r.Tenant)
	}
	if r.Type == ota.DeviceRef {
		shard, num, ok := ota.DeviceID(r.ID).Place()
		if !ok || num == 0 || num >= maxNum {
			return place{}, ota.Errorf(ota.NotFound, r.String(), "there is none")
		}
		s := shardSlot(shard)
		p := s.in(r.Tenant)
		return place{s, p, num, shard, p.device(num), p.gone(utoa(num)), deviceShort(r.Tenant, num)}, nil
	}
	if !plainID(r.ID) {
		return place{}, ota.Errorf(ota.NotFound, r.String(), "there is none")
	}
	s := tenantSlot(r.Tenant)
	p := part(s)
	return place{s, p, 0, 0, p.noun(r.Type, r.ID), p.gone(string(r.Type) + ":" + r.ID), nounShort(r.Type, r.ID)}, nil
}

// plainID says whether an id can be part of keys: letters, digits and - _ . of
// which no key's syntax is made.
func plainID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// put makes a fact hold; fresh is false where it did, with another score.
func (p *program) put(pl place, r ota.Ref, f fact, fresh bool) {
	switch f.what {
	case factDue:
		p.write("due", pl.slot.due(), score(f.score), dueMember(pl.short, f.key))
	case factWait:
		id := ota.RolloutID(f.id)
		p.write("wait", pl.part.wait(id), score(f.score), waitMember(f.kind, pl.num), p.key(pl.slot.waits()), waitsMember(r.Tenant, id))
	}
	if !fresh {
		return
	}
	switch f.what {
	case factDevice:
		p.write("bit", pl.part.all(), pl.num, p.key(pl.part.count()), allField)
	case factAlarmed:
		p.write("bit", pl.part.alarmed(), pl.num, p.key(pl.part.count()), alarmedField)
	case factState:
		p.write("bit", pl.part.state(f.kind, f.state), pl.num, p.key(pl.part.count()), stateField(f.kind, f.state))
	case factProfile:
		p.write("bit", pl.part.profile(ota.ProfileID(f.id)), pl.num, p.key(pl.part.count()), profileField(f.id))
	case factFollows:
		p.write("count", pl.part.rollout(ota.RolloutID(f.id)), stateField(f.kind, f.state), 1)
	case factAssigned:
		p.write("add", pl.part.assigned(ota.PackageID(f.id)), assignedMember(pl, r))
	case factName:
		p.check("name", pl.part.names(r.Type), f.id, r.ID)
		p.write("put", pl.part.names(r.Type), f.id, r.ID)
	case factListed:
		p.write("due", pl.part.list(r.Type), 0, listMember(f.id, r.ID))
	case factDoor:
		p.write("put", pl.part.doors(), f.id, f.key)
	case factNeeds:
		p.write("count", pl.part.needs(), f.id, 1)
	}
}

// take makes a fact hold no longer.
func (p *program) take(pl place, r ota.Ref, f fact) {
	switch f.what {
	case factDue:
		p.write("undue", pl.slot.due(), dueMember(pl.short, f.key))
	case factWait:
		id := ota.RolloutID(f.id)
		p.write("unwait", pl.part.wait(id), waitMember(f.kind, pl.num), p.key(pl.slot.waits()), waitsMember(r.Tenant, id))
	case factDevice:
		p.write("unbit", pl.part.all(), pl.num, p.key(pl.part.count()), allField)
	case factAlarmed:
		p.write("unbit", pl.part.alarmed(), pl.num, p.key(pl.part.count()), alarmedField)
	case factState:
		p.write("unbit", pl.part.state(f.kind, f.state), pl.num, p.key(pl.part.count()), stateField(f.kind, f.state))
	case factProfile:
		p.write("unbit", pl.part.profile(ota.ProfileID(f.id)), pl.num, p.key(pl.part.count()), profileField(f.id))
	case factFollows:
		p.write("count", pl.part.rollout(ota.RolloutID(f.id)), stateField(f.kind, f.state), -1)
	case factAssigned:
		p.write("unadd", pl.part.assigned(ota.PackageID(f.id)), assignedMember(pl, r))
	case factName:
		p.write("unput", pl.part.names(r.Type), f.id)
	case factListed:
		p.write("undue", pl.part.list(r.Type), listMember(f.id, r.ID))
	case factDoor:
		p.write("unput", pl.part.doors(), f.id)
	case factNeeds:
		p.write("count", pl.part.needs(), f.id, -1)
	}
}

const (
	allField     = "all"
	alarmedField = "alarmed"
)

func stateField(k ota.Kind, s ota.State) string { return kindLetter(k) + ":" + string(s) }
func profileField(id string) string             { return "p:" + id }
func listMember(sort, id string) string         { return sort + "\x00" + id }

// assignedMember names who is assigned a package: a device by its number, a
// profile by its id.
func assignedMember(pl place, r ota.Ref) string {
	if r.Type == ota.DeviceRef {
		return utoa(pl.num)
	}
	return r.ID
}
