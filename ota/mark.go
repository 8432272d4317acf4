package ota

import (
	"slices"
	"time"
)

// Mark notes that something was seen. It lies in the home that it is about, so
// that it is written with what follows from it.
type Mark struct {
	Key   string // unique within its home
	Until time.Time
	Count int // how often it was seen
}

// maxMarks bounds the marks of one home; those that would end first go. Marks of
// jobs stay, and are bounded apart.
const maxMarks = 64

// See notes that key was seen, and for how long it counts as seen from the first
// time on. It returns the mark as it stands; Count is 1 where it is new. Marks
// that have ended go on the way.
func (h *Home) See(key string, d time.Duration, now time.Time) Mark {
	h.Marks = slices.DeleteFunc(h.Marks, func(m Mark) bool { return !m.Until.After(now) })
	if i := slices.IndexFunc(h.Marks, func(m Mark) bool { return m.Key == key }); i >= 0 {
		h.Marks[i].Count++
		return h.Marks[i]
	}
	if len(h.Marks)-jobMarks(h.Marks) >= maxMarks {
		first := -1
		for i := range h.Marks {
			if !h.Marks[i].ofJob() && (first < 0 || h.Marks[i].Until.Before(h.Marks[first].Until)) {
				first = i
			}
		}
		h.Marks = slices.Delete(h.Marks, first, first+1)
	}
	m := Mark{Key: key, Until: now.Add(d), Count: 1}
	h.Marks = append(h.Marks, m)
	return m
}
