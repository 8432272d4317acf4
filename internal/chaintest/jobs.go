package chaintest

import (
	"slices"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// walk is a job that does a branch for each device of its target, at its pace on
// the moved clock. Like a server's it goes page by page: the members of the one
// at hand come again when the server is killed.
type walk struct {
	job   ota.Ref
	gap   time.Duration
	size  int
	left  []ota.Ref
	at    time.Time // when the next one comes
	tries int       // of that one

	page           []ota.Ref // members of the page at hand that had their turn
	counts, before counted   // now, and before that page
}

type counted struct{ done, failed int64 }

// maxTries is how often a member is tried that is busy.
const maxTries = 8

// walkJob begins a job that does a branch.
func (w *world) walkJob(h *ota.Home) error {
	is := h.Clone()
	is.Job.Begin()
	k := &walk{job: h.Ref, size: is.Job.Page(), at: w.st.Now()}
	if p := is.Job.Pace; p.Count > 0 {
		k.gap = p.Every / time.Duration(p.Count)
	}
	for _, d := range w.st.devices() {
		if is.Job.Reaches(d.Device) {
			k.left = append(k.left, d.Ref)
		}
	}
	w.walks = append(w.walks, k)
	return w.st.Commit(w.ctx, &ota.Turn{ID: ota.NewTurnID(), Home: is, Was: h})
}

// walking is the first job whose next member has its moment.
func (w *world) walking(now time.Time) *walk {
	for _, k := range w.walks {
		if !k.at.After(now) {
			return k
		}
	}
	return nil
}

// walkOn lets a job come to its next member, or to its end.
func (w *world) walkOn(k *walk) {
	h := w.home(k.job)
	if h == nil || len(k.left) == 0 || h.Job.State != ota.JobRunning {
		w.walked(k, h)
		return
	}
	d := k.left[0]
	m := ota.Message{Event: ota.JobMember, Tenant: d.Tenant, Device: ota.DeviceID(d.ID), Home: k.job}
	if k.tries >= maxTries {
		m.Cause = ota.JobGivesUp
	}
	_, err := w.eng.Handle(w.ctx, m)
	w.eng.Wait()
	switch code := ota.CodeOf(err); code {
	case "":
		k.counts.done++
	case ota.Conflict, ota.Invalid:
		k.counts.failed++
	case ota.NotFound:
	default:
		w.note("job: " + err.Error())
		k.at = w.st.Now().Add(min(time.Second<<min(k.tries, 10), time.Minute))
		k.tries++
		return
	}
	k.tries, k.left = 0, k.left[1:]
	if k.page = append(k.page, d); len(k.page) == k.size {
		k.page, k.before = nil, k.counts
	}
	if len(k.left) > 0 {
		k.at = w.st.Now().Add(k.gap)
	}
}

// walked ends a job, and tells the run that waits for it.
func (w *world) walked(k *walk, h *ota.Home) {
	w.walks = slices.DeleteFunc(w.walks, func(x *walk) bool { return x == k })
	if h == nil {
		return
	}
	is := h.Clone()
	for i := range ota.Shards {
		n := counted{}
		if i == ota.Shards-1 || is.Job.Ended == ota.Shards-1 {
			n = k.counts
		}
		is.Job.End(i, n.done, n.failed)
	}
	if err := w.st.Commit(w.ctx, &ota.Turn{ID: ota.NewTurnID(), Home: is, Was: h, Out: is.Job.Tells()}); err != nil {
		w.note("job: " + err.Error())
	}
}

// rewalk is what becomes of jobs when the server is killed: pages that were at
// hand come again.
func (w *world) rewalk() {
	for _, k := range w.walks {
		k.left = append(k.page, k.left...)
		k.page, k.counts, k.tries = nil, k.before, 0
	}
}
