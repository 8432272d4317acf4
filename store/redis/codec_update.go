package redis

import (
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// asBefore stands for an id that was written before it: an update's package is
// mostly the one that its track follows. No id is that text.
const asBefore = "="

func encodeUpdate(e *enc, t *ota.Track) {
	u, base := t.Update, t.Update.Queued.UnixMilli()
	if u.Queued.IsZero() {
		base = 0
	}
	e.time(1, u.Queued, 0) // first: the other times count from it
	e.str(2, u.ID)
	e.word(3, string(u.Kind), wordsKind)
	e.word(4, string(u.State), wordsState)
	e.word(5, u.Closed, wordsClosed)
	e.str(6, same(string(u.Package), string(t.Followed.Package)))
	e.str(7, same(string(u.Rollout), string(t.Followed.Rollout)))
	encodeVersion(e, 8, u.Target)
	encodeVersion(e, 11, u.From)
	encodeVersion(e, 14, u.Reported)
	e.str(17, u.Cause)
	e.int(18, int64(u.Attempt))
	e.str(19, u.Error)
	e.flag(20, u.Silent)
	e.time(21, u.Entered, base)
	e.time(22, u.LastWord, base)
	e.int(23, u.Timeout.Milliseconds())
	e.flag(24, u.Offered)
	e.flag(25, u.Away)
	e.time(26, u.NotBefore, base)
	e.int(27, int64(u.Priority))
	e.float(28, u.Place)
	e.str(29, u.Held)
	e.flag(30, u.SaidUpdated)
	e.int(31, u.Served)
	e.time(33, u.HeldFrom, base)
	e.int(34, u.HeldFor.Milliseconds())
	for _, w := range u.WakeOn {
		e.strAlways(35, string(w))
	}
	e.int(36, int64(u.Admission))
	e.int(37, int64(u.Permit))
	e.str(38, string(u.Verdict))
	e.flag(39, u.Fresh)
	e.flag(41, u.Left)
	for _, s := range u.Slots {
		e.msg(40, func(e *enc) {
			e.str(1, s.Key)
			e.int(2, int64(s.Num))
		})
	}
	path := "" // mostly of the same chain as the step before
	for _, s := range u.History {
		shared := sharedLen(s.Path, path)
		e.msg(32, func(e *enc) {
			e.time(1, s.At, base)
			e.word(2, string(s.State), wordsState)
			e.str(3, s.Note)
			e.int(4, int64(shared))
			e.str(5, s.Path[shared:])
		})
		path = s.Path
	}
}

func same(id, before string) string {
	if id != "" && id == before {
		return asBefore
	}
	return id
}

func different(id, before string) string {
	if id == asBefore {
		return before
	}
	return id
}

func decodeUpdate(d *dec, t *ota.Track) *ota.Update {
	u, base := &ota.Update{}, int64(0)
	for d.next() {
		switch d.n {
		case 1:
			u.Queued = d.time(0)
			base = u.Queued.UnixMilli()
		case 2:
			u.ID = d.str()
		case 3:
			u.Kind = ota.Kind(d.word(wordsKind))
		case 4:
			u.State = ota.State(d.word(wordsState))
		case 5:
			u.Closed = d.word(wordsClosed)
		case 6:
			u.Package = ota.PackageID(different(d.str(), string(t.Followed.Package)))
		case 7:
			u.Rollout = ota.RolloutID(different(d.str(), string(t.Followed.Rollout)))
		case 8, 9, 10:
			decodeVersion(d, 8, &u.Target)
		case 11, 12, 13:
			decodeVersion(d, 11, &u.From)
		case 14, 15, 16:
			decodeVersion(d, 14, &u.Reported)
		case 17:
			u.Cause = d.str()
		case 18:
			u.Attempt = int(d.int())
		case 19:
			u.Error = d.str()
		default:
			decodeUpdateRest(d, u, base)
		}
	}
	return u
}

func decodeUpdateRest(d *dec, u *ota.Update, base int64) {
	switch d.n {
	case 20:
		u.Silent = d.flag()
	case 21:
		u.Entered = d.time(base)
	case 22:
		u.LastWord = d.time(base)
	case 23:
		u.Timeout = time.Duration(d.int()) * time.Millisecond
	case 24:
		u.Offered = d.flag()
	case 25:
		u.Away = d.flag()
	case 26:
		u.NotBefore = d.time(base)
	case 27:
		u.Priority = int(d.int())
	case 28:
		u.Place = d.float()
	case 29:
		u.Held = d.str()
	case 30:
		u.SaidUpdated = d.flag()
	case 31:
		u.Served = d.int()
	case 33:
		u.HeldFrom = d.time(base)
	case 34:
		u.HeldFor = time.Duration(d.int()) * time.Millisecond
	case 35:
		u.WakeOn = append(u.WakeOn, ota.Event(d.str()))
	case 32:
		path := ""
		if n := len(u.History); n > 0 {
			path = u.History[n-1].Path
		}
		u.History = append(u.History, decodeStep(d.msg(), base, path))
	default:
		decodeUpdateDoor(d, u)
	}
}

// decodeUpdateDoor reads what an update has of its rollout's door and of slots.
func decodeUpdateDoor(d *dec, u *ota.Update) {
	switch d.n {
	case 36:
		u.Admission = ota.Admission(d.int()) //nolint:gosec // we wrote it
	case 37:
		u.Permit = int(d.int())
	case 38:
		u.Verdict = ota.Verdict(d.str())
	case 39:
		u.Fresh = d.flag()
	case 41:
		u.Left = d.flag()
	case 40:
		var s ota.HeldSlot
		for m := d.msg(); m.next(); {
			switch m.n {
			case 1:
				s.Key = m.str()
			case 2:
				s.Num = int(m.int())
			}
		}
		u.Slots = append(u.Slots, s)
	}
}

// sharedLen is how many bytes a and b have in common at their beginning.
func sharedLen(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func decodeStep(d *dec, base int64, path string) (s ota.Step) {
	shared := ""
	for d.next() {
		switch d.n {
		case 1:
			s.At = d.time(base)
		case 2:
			s.State = ota.State(d.word(wordsState))
		case 3:
			s.Note = d.str()
		case 4:
			n := d.int()
			if n < 0 || n > int64(len(path)) {
				d.fail()
				return s
			}
			shared = path[:n]
		case 5:
			s.Path = d.str()
		}
	}
	s.Path = shared + s.Path
	return s
}
