package ota

import (
	"strconv"
	"strings"
	"time"
)

// DueEntry is one thing that a home has coming: Key says what, in a form that
// a store can keep beside the home and hand back as [Message].Key.
type DueEntry struct {
	Key string
	At  time.Time
}

// The kinds of keys: a letter, a colon, and a kind or a number.
const (
	dueTimeout = "t" // the time-out of an update's state
	dueRipe    = "q" // a queued update may stand in the line again
	dueEvent   = "e" // a pending message
	dueParked  = "r" // a parked run
	dueSpread  = "j" // a job that is not in every shard yet; alone, without a colon
)

// DoorKey is the key of a task that says that the door of a rollout has
// something for its conductor. It comes from no [Home.Dues].
const DoorKey = "door"

// Dues lists what the home has coming. It follows from the home alone, so that
// an index of it can always be checked against the homes.
func (h *Home) Dues() []DueEntry {
	var out []DueEntry
	if h.Device != nil {
		for _, k := range Kinds() {
			u := h.Device.Track(k).Update
			if !u.Open() {
				continue
			}
			if at := u.Deadline(); !at.IsZero() {
				out = append(out, DueEntry{dueTimeout + ":" + string(k), at})
			} else if !u.Away && !u.NotBefore.IsZero() {
				out = append(out, DueEntry{dueRipe + ":" + string(k), u.NotBefore})
			}
		}
	}
	if j := h.Job; j != nil && j.State == JobRunning && !j.Spread {
		out = append(out, DueEntry{dueSpread, j.Created})
	}
	for _, p := range h.Pending {
		out = append(out, DueEntry{dueEvent + ":" + strconv.Itoa(p.Num), p.At})
	}
	for _, p := range h.Parked {
		if !p.At.IsZero() {
			out = append(out, DueEntry{dueParked + ":" + strconv.Itoa(p.Num), p.At})
		}
	}
	return out
}

// What a due entry turns out to be.
const (
	DueNothing = ""        // gone: only its entry is left to be removed
	DueTimeout = "timeout" // Kind: run state_timeout
	DueRipe    = "ripe"    // Kind: let it stand in the line
	DueEvent   = "event"   // Pending: handle it
	DueParked  = "parked"  // Parked: resume it
	DueSpread  = "spread"  // a job: [Owner.Spread], which owners do by themselves
)

// DueWork is what a due entry means to the home as it is now.
type DueWork struct {
	What    string
	Kind    Kind
	Pending Pending
	Parked  Parked
}

// Work finds what key, from [Home.Dues], means now. What is not due yet by now,
// because it was moved since the entry was read, is DueNothing.
func (h *Home) Work(key string, now time.Time) DueWork {
	what, rest, _ := strings.Cut(key, ":")
	switch what {
	case dueTimeout, dueRipe:
		return h.updateWork(what, Kind(rest), now)
	case dueEvent, dueParked:
		num, err := strconv.Atoi(rest)
		if err != nil {
			return DueWork{}
		}
		return h.numberedWork(what, num, now)
	case dueSpread:
		if j := h.Job; j != nil && j.State == JobRunning && !j.Spread {
			return DueWork{What: DueSpread}
		}
	}
	return DueWork{}
}

func (h *Home) updateWork(what string, k Kind, now time.Time) DueWork {
	if h.Device == nil || !k.Valid() {
		return DueWork{}
	}
	u := h.Device.Track(k).Update
	if at := u.Deadline(); what == dueTimeout && !at.IsZero() && !at.After(now) {
		return DueWork{What: DueTimeout, Kind: k}
	}
	if what == dueRipe && u.Open() && u.State == Queued && !u.NotBefore.IsZero() && !u.NotBefore.After(now) {
		return DueWork{What: DueRipe, Kind: k}
	}
	return DueWork{}
}

func (h *Home) numberedWork(what string, num int, now time.Time) DueWork {
	for _, p := range h.Pending {
		if what == dueEvent && p.Num == num && !p.At.After(now) {
			return DueWork{What: DueEvent, Kind: p.Kind, Pending: p}
		}
	}
	for _, p := range h.Parked {
		if what == dueParked && p.Num == num && !p.At.After(now) {
			return DueWork{What: DueParked, Kind: p.Kind, Parked: p}
		}
	}
	return DueWork{}
}

// Drop removes the pending message or parked run with number num.
func (h *Home) Drop(num int) {
	h.Pending = deleteFunc(h.Pending, func(p Pending) bool { return p.Num == num })
	h.Parked = deleteFunc(h.Parked, func(p Parked) bool { return p.Num == num })
}

// DropEvent removes the pending messages of an event.
func (h *Home) DropEvent(e Event) {
	h.Pending = deleteFunc(h.Pending, func(p Pending) bool { return p.Event == e })
}

func deleteFunc[T any](s []T, drop func(T) bool) []T {
	var kept []T
	for _, v := range s {
		if !drop(v) {
			kept = append(kept, v)
		}
	}
	return kept
}
