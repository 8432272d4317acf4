package ota

import "math"

// The line of a rollout has bands: one for each stage of the plan that says by
// where which devices come first, in the order of the plan, and the last one for
// all others. Each band has the same part of the places from 0 to 1, however
// many devices stand in it, so that a place says no more than who comes before
// whom: how many are let in is counted, never read off a place.

// Bands is how many stages of the plan say which devices come first.
func (r *Rollout) Bands() (n int) {
	for i := range r.Plan {
		if r.Plan[i].Where != "" {
			n++
		}
	}
	return n
}

// PlaceOf is the place of a device that stands at share, 0…1, of a band. A band
// that is not there is the last one.
func (r *Rollout) PlaceOf(band int, share float64) float64 {
	n := r.Bands()
	if n == 0 {
		return share
	}
	band = max(min(band, n), 0)
	place := (float64(band) + share) / float64(n+1)
	return min(place, math.Nextafter(float64(band+1)/float64(n+1), 0))
}

// BandOf is the inverse of [Rollout.PlaceOf]. stage is the one that the band is
// of, nil for the last band.
func (r *Rollout) BandOf(place float64) (stage *Stage, share float64) {
	n := r.Bands()
	at := place * float64(n+1)
	band := max(min(int(at), n), 0)
	for i := range r.Plan {
		if r.Plan[i].Where == "" {
			continue
		}
		if band == 0 {
			return &r.Plan[i], at - math.Floor(at)
		}
		band--
	}
	return nil, max(min(at-float64(n), 1), 0)
}

// Band is how far in the line those stand that come first with the open stage; ok
// is false where it does not say who does.
func (r *Rollout) Band() (mark float64, ok bool) {
	mark = r.markOf(r.Stage, false)
	return mark, mark < 1
}

// Reaches says whether the mark has come to where an update stands in line.
func (r *Rollout) Reaches(u *Update) bool {
	return r.Mark >= 1 || u.Place-float64(u.Priority) <= r.Mark
}

// markOf is how far places are handed out in a stage. One that says who comes
// first lets in nobody else before all members are told and none of those stands
// in line any more: whoever is told first, or is asked by the fastest of several
// processes, would take the places of those.
func (r *Rollout) markOf(stage string, others bool) float64 {
	s := r.At(stage)
	if others || s == nil || s.Where == "" {
		return 1
	}
	band := 1
	for i := range r.Plan {
		if r.Plan[i].Name == stage {
			break
		}
		if r.Plan[i].Where != "" {
			band++
		}
	}
	return float64(band) / float64(r.Bands()+1)
}
