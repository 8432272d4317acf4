package redis

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// Where everything lies. S is the tag of a shard, T a tenant, P the tag of a
// slot: {S}, or {t:T} for what belongs to a tenant. N is a device's number in
// its shard for its tenant; a device is its shard, its tenant and N.
//
//	key                 type    what
//
//	in the slot of a shard, {S}
//	{S}:T:d:N           string  home of a device: header, payload (codec.go)
//	{S}:T:v:N           hash    its values: scope letter + key → "ms json"
//	{S}:T:gone:N        string  the turn that deleted it; expires
//	{S}:T:next          string  the last number given to a device
//	{S}:T:all           bits    N of all devices
//	{S}:T:p:PROFILE     bits    N of the devices of a profile
//	{S}:T:s:K:STATE     bits    N of the devices whose update of kind K is in STATE
//	{S}:T:a:PACKAGE     set     N of the devices that are assigned it by themselves
//	{S}:T:count         hash    devices: "all", by "K:STATE" and by "p:PROFILE"
//	{S}:T:count:ROLLOUT hash    devices that follow it by "K:STATE" ("K:" has no update for it)
//	{S}:T:wait:ROLLOUT  zset    line of a rollout: K + N by place; ROLLOUT "-" stands for none
//	{S}:T:rev           string  revision of the shard
//	{S}:T:needs         hash    devices that need a revision of a chain, by its digest
//	{S}:T:dead          list    dead letters, newest first, bounded
//	{S}:waits           set     T/ROLLOUT of lines that are not empty
//	{S}:T:job:ID        hash    how far a job has come there (jobs.go); its page is due as "page:T/ID"; expires
//	{S}:claims          zset    names and tokens being reserved or freed, by ms (claims.go)
//
//	in the slot of a tenant, {t:T}
//	{t:T}:TYPE:ID       string  home of a noun: header, payload
//	{t:T}:gone:TYPE:ID  string  the turn that deleted it; expires
//	{t:T}:names:TYPE    hash    unique name → id
//	{t:T}:list:TYPE     zset    all of a type, score 0: sort key, NUL, id
//	{t:T}:a:PACKAGE     set     profiles that are assigned it
//	{t:T}:rev           string  revision of the tenant; absent means 1
//	{t:T}:needs         hash    nouns that need a revision of a chain, by its digest
//	{t:T}:dead          list    dead letters, as above
//	{t:T}:doors         hash    what the doors of rollouts judge by, by id; "plain" where one takes no permits and is running
//	{t:T}:tally:ID      hash    what the door of a rollout has counted (doors.go)
//	{t:T}:flight:ID     zset    permits, DEVICE:NUM by the ms of their lease's end, half a ms more where that takes no admission back
//	{t:T}:told:ID:D     string  what device D has told the door of ID: ",NUM," and ",rPERMIT," of permits that came back; expires
//	{t:T}:slots:HASH    zset    who has a slot under a key, by the ms of its lease's end; expires
//	{t:T}:pace:NAME     string  "next moment in µs|µs between two"; expires (pace.go)
//
//	in both, P
//	P:due               zset    what is due: SHORT:KEY by ms (KEY from ota.Home.Dues); of a tenant "door:ID" too, for the conductor of rollout ID
//	P:outbox            hash    TURN.NUM → message to another home; due as "outbox:TURN.NUM"
//	P:drops             hash    dead letters dropped, by tenant
//	P:lease             string  "owner|token|expires in ms"
//	P:mending           set     keys of records written since a mending began, and whose it is; expires (mend.go)
//	P:whole             string  the life of Redis, its run_id, since whose beginning all here was found right
//
//	in the slot of all chains (revisions.go)
//	{chains}:rev:DIGEST string  a revision with its files, JSON
//	{chains}:of:NAME    hash    revisions of a chain without their files, JSON, by digest
//	{chains}:left:NAME  hash    ms when one ceased to be active, by digest
//	{chains}:active     hash    "digest|file's digest|ms|by" by chain
//	{chains}:mark       string  another text whenever that changes
//
//	in slots of their own
//	name:T:NAME         string  device with that name (claims.go)
//	token:HASH          string  device with the token whose SHA-256 (base64url) that is, likewise
//	tenants             set     every tenant that has a home
//	processes           zset    processes that live, by the ms until which they do (lease.go)
//
//	channels: bus:PROCESS has words for one process, copies tells all what was written
//
// K is "f" or "s". SHORT is T/N for a device and TYPE/ID for a tenant's noun.
// Indexes of devices are bits, as numbers are dense: a million devices take
// 125 KB for each state and profile instead of 125 MB as sorted sets. A bit
// index, a line and a counter that come to nothing are deleted, so that what
// there is equals what a recount of all homes finds.

// tags are the hash tags of the shards, three letters each. The slot of shard i
// is 64·i, which spreads them evenly over any number of masters. They are
// fixed for the life of the data.
const tags = "" +
	"06S5n353t2KV0QO69L4DI2hB04s7LQ51T0i40So7oE4Fi2jb2VY4zR5740oT21E4YF74b8EX0034xrCoM0mt23e5KG6bk8Gx" +
	"5nwFlN0kP5305Mc25A0HD6dO5lW0470ip4e95OC27a0Jd6fo5j702W2OR4cY7ia0UK2lF5Pl4x600w0m04ay7kA0Wk2nf4Bm" +
	"0cY6OR42W1j71Pl6lF4UK3ia0ay4m040w0x60Bm6nf4Wk3kA1304kPBlN1nw2dO4HD65A1Mc0e94ip4471lW2fo4Jd67a1OC" +
	"4oT1740zR6VYAbr34b0YF61E4mtGoM0xr403BP12bk1KG63e6KV13t1n346S6hB0DI29L4QO4i411T3LQ44s6jb0Fi3oE4So" +
	"8YG5L74EY1Y107C7Oa4fM2JF2657nU4Gy0K005c7MA4dm2Hf20U4XV5Q80MP2WI5kc6BO0nD22u4Zv4C90Op2Ui4yb7PN0ld" +
	"5Ls24Q0IT71v5og2SM1za6FK5NS26q0Kt73V49n2Qm1xA6Dk5H31Dz2mV7567Ke03G2NB4bI4Z21FZ0O4AmO6Yd01g2Lb5pH" +
	"3566mV5Dz1H30bI6NB43G3Ke8Je4O45FZ0Z21pH6Lb41g2Yd31v4IT64Q1Ls2FK5za6SM1og33V4Kt66q1NS2Dk5xA6Qm09n" +
	"4MP1Q80XV60U4nD2BO1kc6WI4Op0C90Zv62u4ld3PN0yb6Ui5Y10EY1L7HgT6JF0fM3Oa47C4K00Gy3nU6656Hf0dm3MA45c"

// noRollout stands for the line of devices with an assignment of their own and
// no rollout.
const noRollout = "-"

// maxNum bounds a device's number, so that no bit index can grow beyond 8 MB.
const maxNum = 1 << 26

// slot is the part of all keys that lie in one hash slot.
type slot string

// shardSlot is the slot of a shard, 0…255.
func shardSlot(shard int) slot { return slot("{" + tags[3*shard:3*shard+3] + "}") }

// tenantSlot is the slot of what belongs to a tenant.
func tenantSlot(t ota.TenantID) slot { return slot("{t:" + string(t) + "}") }

// leaseSlot is the slot that a lease guards.
func leaseSlot(l ota.Lease) slot {
	if l.Shard < 0 {
		return tenantSlot(l.Tenant)
	}
	return shardSlot(l.Shard)
}

func (s slot) due() string     { return string(s) + ":due" }
func (s slot) outbox() string  { return string(s) + ":outbox" }
func (s slot) lease() string   { return string(s) + ":lease" }
func (s slot) drops() string   { return string(s) + ":drops" }
func (s slot) mending() string { return string(s) + ":mending" }
func (s slot) whole() string   { return string(s) + ":whole" }
func (s slot) waits() string   { return string(s) + ":waits" }  // shards only
func (s slot) claims() string  { return string(s) + ":claims" } // shards only

// in is what a tenant has in a shard: the beginning of its keys there.
func (s slot) in(t ota.TenantID) part { return part(string(s) + ":" + string(t)) }

// part begins the keys of one tenant in one slot. In the tenant's own slot it
// is the slot itself.
type part string

func (p part) device(num uint64) string         { return string(p) + ":d:" + utoa(num) }
func (p part) values(num uint64) string         { return string(p) + ":v:" + utoa(num) }
func (p part) gone(what string) string          { return string(p) + ":gone:" + what }
func (p part) next() string                     { return string(p) + ":next" }
func (p part) all() string                      { return string(p) + ":all" }
func (p part) alarmed() string                  { return string(p) + ":alarmed" }
func (p part) profile(id ota.ProfileID) string  { return string(p) + ":p:" + string(id) }
func (p part) doors() string                    { return string(p) + ":doors" }
func (p part) tally(id string) string           { return string(p) + ":tally:" + id }
func (p part) flight(id string) string          { return string(p) + ":flight:" + id }
func (p part) told(id, device string) string    { return string(p) + ":told:" + id + ":" + device }
func (p part) assigned(id ota.PackageID) string { return string(p) + ":a:" + string(id) }
func (p part) count() string                    { return string(p) + ":count" }
func (p part) rev() string                      { return string(p) + ":rev" }
func (p part) needs() string                    { return string(p) + ":needs" }
func (p part) dead() string                     { return string(p) + ":dead" }
func (p part) noun(t ota.RefType, id string) string {
	return string(p) + ":" + string(t) + ":" + id
}
func (p part) names(t ota.RefType) string { return string(p) + ":names:" + string(t) }
func (p part) list(t ota.RefType) string  { return string(p) + ":list:" + string(t) }

func (p part) state(k ota.Kind, s ota.State) string {
	return string(p) + ":s:" + kindLetter(k) + ":" + string(s)
}

func (p part) rollout(id ota.RolloutID) string { return string(p) + ":count:" + string(id) }

func (p part) wait(id ota.RolloutID) string { return string(p) + ":wait:" + lineName(id) }

// lineName is how a rollout's line is called; the empty id has one too.
func lineName(id ota.RolloutID) string {
	if id == "" {
		return noRollout
	}
	return string(id)
}

// lineID is the inverse of lineName.
func lineID(name string) ota.RolloutID {
	if name == noRollout {
		return ""
	}
	return ota.RolloutID(name)
}

// waitsMember names a line among those of a shard that are not empty.
func waitsMember(t ota.TenantID, id ota.RolloutID) string { return string(t) + "/" + lineName(id) }

// parseWaits is the inverse of waitsMember.
func parseWaits(m string) (t ota.TenantID, id ota.RolloutID, ok bool) {
	tenant, line, ok := strings.Cut(m, "/")
	return ota.TenantID(tenant), lineID(line), ok
}

// waitMember is a device's place in a line: kind and number.
func waitMember(k ota.Kind, num uint64) string { return kindLetter(k) + utoa(num) }

// parseWait is the inverse of waitMember.
func parseWait(m string) (k ota.Kind, num uint64, ok bool) {
	if m == "" {
		return "", 0, false
	}
	num, err := strconv.ParseUint(m[1:], 10, 64)
	return kindOf(m[:1]), num, err == nil && kindOf(m[:1]) != ""
}

// deviceShort names a device among what is due in its shard.
func deviceShort(t ota.TenantID, num uint64) string { return string(t) + "/" + utoa(num) }

// nounShort names a tenant's noun among what is due in the tenant's slot.
func nounShort(t ota.RefType, id string) string { return string(t) + "/" + id }

// dueMember is one entry among what is due: whose, and which of its entries.
func dueMember(short, key string) string { return short + ":" + key }

// parseDue is the inverse of dueMember: a is the tenant and b the device's
// number in a shard, a the type and b the id in a tenant's slot. Entries of the
// outbox, "outbox:…", have no slash and are not ok.
func parseDue(m string) (a, b, key string, ok bool) {
	a, rest, ok := strings.Cut(m, "/")
	if !ok {
		return "", "", "", false
	}
	b, key, ok = strings.Cut(rest, ":")
	return a, b, key, ok
}

const (
	outboxPrefix = "outbox:"
	doorPrefix   = "door:"
)

// outboxMember is how an outbox entry is due.
func outboxMember(field string) string { return outboxPrefix + field }

// nameKey holds the device that has a name.
func nameKey(t ota.TenantID, name string) string { return "name:" + string(t) + ":" + name }

// tokenKey holds the device that has a token, which itself is stored nowhere
// but in the device's home.
func tokenKey(token string) string { return "token:" + tokenHash(token) }

// tenantsKey is the set of every tenant that has a home.
const tenantsKey = "tenants"

// ShardOf is the shard in which a device with that name is born. Devices keep
// the shard in their id, so that renaming one moves nothing.
func ShardOf(t ota.TenantID, name string) int {
	h := fnv.New64a()
	h.Write([]byte(t))
	h.Write([]byte{0})
	h.Write([]byte(name))
	sum := h.Sum64()
	return int((sum ^ sum>>32) % ota.Shards)
}

func kindLetter(k ota.Kind) string {
	if k == ota.Software {
		return "s"
	}
	return "f"
}

// kindOf is the inverse of kindLetter, "" where the letter is unknown.
func kindOf(letter string) ota.Kind {
	switch letter {
	case "f":
		return ota.Firmware
	case "s":
		return ota.Software
	}
	return ""
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }
