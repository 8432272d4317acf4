package engine

// answers are what was answered to the calls of a turn: a second try of it goes
// on with them. Nothing of it outlives the turn.
type answers struct{ all []answered }

type answered struct {
	step, key string
	answer    any
	used      bool // by the present try
}

// again makes all of them ready for another try.
func (a *answers) again() {
	if a == nil {
		return
	}
	for i := range a.all {
		a.all[i].used = false
	}
}

// keepAnswer keeps what the running step was answered, for a second try.
func (r *Run) keepAnswer(key string, v any) {
	if r.kept == nil {
		r.kept = &answers{}
	}
	r.kept.all = append(r.kept.all, answered{r.Step(), key, v, true})
}

// keptAnswer finds what an earlier try was answered, for each time that the step
// asks the next one.
func keptAnswer[T any](r *Run, key string) (v T, ok bool) {
	if r.kept == nil {
		return v, false
	}
	step := r.Step()
	for i := range r.kept.all {
		x := &r.kept.all[i]
		if x.used || x.step != step || x.key != key {
			continue
		}
		if v, ok = x.answer.(T); ok {
			x.used = true
			return v, true
		}
	}
	return v, false
}
