package redis

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// A Redis that is not ours may, when it is killed while it writes, carry out the
// beginning of a script at a later start (aof.go says how). Records stand last
// in our scripts, so that what is wrong then follows from records: indexes,
// counters, lines and due entries. After each start of Redis the owner of a slot
// therefore recounts what follows from the records there and mends it, while
// turns go on:
//
//  1. It begins a list in the slot. Every commit notes there which records it
//     has written.
//  2. It reads all records, in pages, and works out what follows from them.
//  3. For some keys at a time, it reads again the records that are on the list,
//     clears that, reads the keys, and mends what differs, if the list is empty
//     still: then nobody has written since, and what it knows is the truth. If
//     not, it does this step again. A key that is right stays right.
//  4. It notes in the slot in which life of Redis this was done.
//
// Where more than some hundred turns a second go on in one slot, step 3 may find
// no moment for it, and the slot is left for later; a Redis whose slots have all
// as much to do carries no more than a hundred or two in each.
//
// A list that is another's, or was begun in an earlier life, is seen by what the
// scripts compare, so that nothing is mended by what may be old.

var (
	errLost  = errors.New("redis was restarted, or another mends this")
	errMoved = errors.New("turns are too quick to be recounted")
	// errTrouble says that a record cannot be read: what follows from it cannot
	// be known, and the slot stays as it is.
	errTrouble = errors.New("a record cannot be read")
)

// mending is the recount of one slot while turns go on there.
type mending struct {
	s          *Store
	slot       slot
	lane       int
	mark, life string
	homes      map[string]read // by key
	want       *recount
	trouble    []string // records that cannot be read
	mended     []difference
}

// slotKeys are the keys of a slot that matter to a recount. A million devices
// fit into 4 MB.
type slotKeys struct {
	beside, nouns []string
	nums          map[ota.TenantID][]uint32
}

// keysOf reads the keys of some slots.
func (s *Store) keysOf(ctx context.Context, slots map[slot]*mending) (map[slot]*slotKeys, error) {
	out := map[slot]*slotKeys{}
	for sl := range slots {
		out[sl] = &slotKeys{nums: map[ota.TenantID][]uint32{}}
	}
	err := s.eachKey(ctx, func(k string) {
		keys := out[slot(tagOf(k))]
		if keys == nil {
			return
		}
		switch how, ref := keyKind(k); {
		case how == "record" && ref.Type == ota.DeviceRef:
			if n, ok := atou(ref.ID); ok && n < maxNum {
				keys.nums[ref.Tenant] = append(keys.nums[ref.Tenant], uint32(n)) //nolint:gosec // below maxNum
			}
		case how == "record":
			keys.nouns = append(keys.nouns, k)
		case how != "":
			keys.beside = append(keys.beside, k)
		}
	})
	return out, err
}

// run recounts and mends the slot.
func (m *mending) run(ctx context.Context, keys *slotKeys) error {
	if err := m.readAll(ctx, keys); err != nil {
		return err
	}
	check := keys.beside
	for k := range m.want.part {
		check = append(check, k)
	}
	slices.Sort(check)
	check = slices.Compact(check)
	for size := besidePage; len(check) > 0; {
		n := min(size, len(check))
		err := m.page(ctx, check[:n])
		if errors.Is(err, errMoved) && n > 1 {
			size = max(n/4, 1) // the less is read, the less comes between
			continue
		}
		if err != nil {
			return err
		}
		check = check[n:]
	}
	said, err := m.ask(ctx, rightScript, []string{m.slot.mending(), m.slot.whole()})
	if err == nil && said[0] != "ok" {
		err = errLost
	}
	return err
}

func (m *mending) readAll(ctx context.Context, keys *slotKeys) error {
	if err := m.readSome(ctx, keys.nouns); err != nil {
		return err
	}
	for tenant, nums := range keys.nums {
		p := m.slot.in(tenant)
		for len(nums) > 0 {
			n := min(checkPage, len(nums))
			page := make([]string, n)
			for i, num := range nums[:n] {
				page[i] = p.device(uint64(num))
			}
			if err := m.readSome(ctx, page); err != nil {
				return err
			}
			nums = nums[n:]
		}
	}
	return nil
}

// readSome reads records, some of them again.
func (m *mending) readSome(ctx context.Context, keys []string) error {
	for len(keys) > 0 {
		n := min(checkPage, len(keys))
		err := m.s.readHomes(ctx, keys[:n], func(key string, is read) {
			if was, ok := m.homes[key]; ok {
				m.want.forget(was.at, was.home)
				delete(m.homes, key)
			}
			switch {
			case is.trouble != "":
				m.trouble = append(m.trouble, is.trouble)
			case is.home != nil:
				m.homes[key] = is
				m.want.home(is.at, is.home)
			}
		})
		if err != nil {
			return err
		}
		if len(m.trouble) > 0 {
			return errTrouble
		}
		keys = keys[n:]
	}
	return nil
}

// page makes some keys right.
func (m *mending) page(ctx context.Context, keys []string) error {
	for range mendTries {
		changed, err := m.ask(ctx, takeScript, []string{m.slot.mending()}, mendFor)
		if err != nil {
			return err
		}
		if changed[0] != "ok" {
			return errLost
		}
		if err := m.readSome(ctx, changed[1:]); err != nil {
			return err
		}
		have, err := m.s.readBeside(ctx, keys)
		if err != nil {
			return err
		}
		var found []difference
		for i, k := range keys {
			found = append(found, differences(k, m.want.part[k], have[i])...)
		}
		if all, err := m.mend(ctx, found); all || err != nil {
			return err
		}
	}
	return errMoved
}

// mend mends what was found, and says whether that was all there was: false
// where a turn came between.
func (m *mending) mend(ctx context.Context, found []difference) (all bool, err error) {
	for first := true; first || len(found) > 0; first = false {
		n := min(mendPage, len(found))
		keys := []string{m.slot.mending()}
		var args []any
		for _, d := range found[:n] {
			how, _ := keyKind(d.key)
			value := ""
			if d.want == nil {
				how = "no " + how
			} else {
				value = *d.want
			}
			if keys[len(keys)-1] != d.key { // they come key by key
				keys = append(keys, d.key)
			}
			args = append(args, how, len(keys), d.member, value)
		}
		said, err := m.ask(ctx, mendScript, keys, args...)
		switch {
		case err != nil:
			return false, err
		case said[0] == "moved":
			return false, nil
		case said[0] != "ok":
			return false, errLost
		}
		m.mended = append(m.mended, found[:n]...)
		found = found[n:]
	}
	return true, nil
}

func (m *mending) ask(ctx context.Context, s script, keys []string, args ...any) ([]string, error) {
	c := s.cmd(keys, append([]any{m.mark, m.life}, args...))
	if err := m.s.ask(ctx, m.lane, redis.Cmder(c)); err != nil {
		return nil, err
	}
	said, err := c.StringSlice()
	if err == nil && len(said) == 0 {
		err = errLost
	}
	return said, err
}

// claims takes back the names and tokens of the slot's devices whose keys are
// gone. Those lie in other slots, perhaps on another server; as with any claim,
// the home decides in the end (claims.go).
func (m *mending) claims(ctx context.Context) (found []string, err error) {
	type held struct {
		read
		claim
	}
	var all []held
	for _, h := range m.homes {
		for _, c := range claimsOf(h.at, h.home) {
			all = append(all, held{h, c})
		}
	}
	for len(all) > 0 {
		n := min(checkPage, len(all))
		cmds := make([]redis.Cmder, n)
		for i, h := range all[:n] {
			cmds[i] = redis.NewIntCmd(ctx, "exists", h.key)
		}
		if err := m.s.askAll(ctx, cmds...); err != nil {
			return found, err
		}
		for i, h := range all[:n] {
			if cmds[i].(*redis.IntCmd).Val() > 0 { //nolint:forcetypeassert // made above
				continue
			}
			r := h.home.Ref
			if err := m.s.reserve(ctx, h.at, r, ota.NewID(), []claim{h.claim}); err != nil && ota.CodeOf(err) != ota.Invalid {
				return found, err
			}
			m.s.settleClaims(h.at, r.Tenant, []claim{h.claim})
			found = append(found, strings.SplitN(h.key, ":", 2)[0]+" of "+r.String()+" was missing")
		}
		all = all[n:]
	}
	return found, nil
}
