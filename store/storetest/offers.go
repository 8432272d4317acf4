package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// queued puts a device into a rollout's line.
func queued(rollout ota.RolloutID, place float64, priority int) func(*ota.Home) {
	return func(h *ota.Home) {
		now := h.Device.Created
		h.Device.Firmware.Followed = ota.Followed{Package: "pkg", Rollout: rollout}
		h.Device.Firmware.Update = &ota.Update{ID: "1", Kind: ota.Firmware, State: ota.Queued, Package: "pkg", Rollout: rollout, Attempt: 1, Queued: now, Entered: now, Place: place, Priority: priority}
	}
}

func ownersOffers(t *testing.T, process func(string) Process) {
	a := process("a")
	pr := profile(t, a, "p")
	own(t, a)
	rollout := func(id ota.RolloutID, quota, mark float64) *ota.Home {
		return commit(t, a, &ota.Home{Ref: ota.Ref{Tenant: tenant, Type: ota.RolloutRef, ID: string(id)}, Rollout: &ota.Rollout{
			ID: id, Tenant: tenant, Kind: ota.Firmware, Package: "pkg", Started: a.Now(), State: ota.RolloutRunning, Quota: quota, Mark: mark,
		}}, nil)
	}
	rollout("open", 1, 1)
	shut := rollout("shut", 0, 0)
	rollout("part", 0.3, 0.3)
	names := map[string]string{}
	for i, q := range []struct {
		rollout  ota.RolloutID
		place    float64
		priority int
	}{{"open", 0.5, 0}, {"open", 0.1, 0}, {"open", 0.9, 1}, {"shut", 0.01, 5}, {"part", 0.2, 0}, {"part", 0.4, 0}, {"", 0.6, 0}, {"gone", 0.01, 9}} {
		name := fmt.Sprintf("%s %v %d", q.rollout, q.place, q.priority)
		names[device(t, a, fmt.Sprint("d", i), pr, queued(q.rollout, q.place, q.priority)).Ref.ID] = name
	}
	offers := func(limit int) (out []string, tasks []ota.Task) {
		tasks, err := a.Offers(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			out = append(out, names[task.Home.ID])
		}
		return out, tasks
	}
	first, tasks := offers(2)
	if want := []string{"open 0.9 1", "open 0.1 0"}; !slices.Equal(first, want) {
		t.Fatalf("first come %q, want %q", first, want)
	}
	if p := tasks[0].Origin.Place; tasks[0].Kind != ota.Firmware || p == nil || p.Rollout != "open" || string(p.Device) != tasks[0].Home.ID || tasks[0].Origin.Lease.Token == 0 {
		t.Errorf("the task is %+v", tasks[0])
	}
	if rest, _ := offers(10); !slices.Equal(rest, []string{"part 0.2 0", "open 0.5 0", " 0.6 0"}) {
		t.Fatalf("then come %q", rest)
	}
	if more, _ := offers(10); len(more) > 0 {
		t.Errorf("in flight %q are handed out again", more)
	}
	// The first one is offered: its place goes with the commit, and can do so once.
	h, err := a.Load(t.Context(), tasks[0].Home)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, a, h, func(turn *ota.Turn) {
		turn.Began = &tasks[0].Origin
		if err := h.Device.Firmware.Initiate(time.Hour, a.Now()); err != nil {
			t.Fatal(err)
		}
	})
	wantCode(t, a.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h, Began: &tasks[0].Origin}), ota.Conflict)
	a.Done(tasks[0])
	// A door that opens is seen within a second or so.
	commit(t, a, shut, func(turn *ota.Turn) { shut.Rollout.Quota, shut.Rollout.Mark = 1, 1 })
	eventually(t, "the opened door lets its device through", func() bool {
		out, _ := offers(10)
		return slices.Equal(out, []string{"shut 0.01 5"})
	})
}

// ownersBands hands out places up to the mark alone, those of higher priority
// before it, and counts who stands there.
func ownersBands(t *testing.T, process func(string) Process) {
	a := process("a")
	pr := profile(t, a, "p")
	own(t, a)
	r := &ota.Rollout{ID: "banded", Tenant: tenant, Kind: ota.Firmware, Package: "pkg", Started: a.Now(), State: ota.RolloutRunning}
	r.SetPlan([]ota.Stage{{Name: "pilots", Share: 1, MaxFailed: 1, Where: "true"}, {Name: "all", Share: 1, MaxFailed: 1}})
	if err := r.OpenStage("pilots", ota.Tally{}, a.Now()); err != nil {
		t.Fatal(err)
	}
	home := commit(t, a, &ota.Home{Ref: ota.Ref{Tenant: tenant, Type: ota.RolloutRef, ID: "banded"}, Rollout: r}, nil)
	names := map[string]string{}
	for name, q := range map[string]struct {
		band     int
		share    float64
		priority int
	}{"pilot": {0, 0.7, 0}, "late pilot": {0, 0.9999, 0}, "other": {1, 0, 0}, "another": {1, 0.5, 0}, "urgent": {1, 0.9, 1}, "last": {1, 0.1, -1}} {
		place := r.PlaceOf(q.band, q.share)
		if q.band == 1 && q.share == 0 {
			place = r.PlaceOf(1, 1e-9)
		}
		names[device(t, a, name, pr, queued("banded", place, q.priority)).Ref.ID] = name
	}
	hands := func() (out []string) {
		tasks, err := a.Offers(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			out = append(out, names[task.Home.ID])
		}
		return out
	}
	ahead := func(want int) {
		t.Helper()
		mark, ok := r.Band()
		if n, err := a.Ahead(t.Context(), tenant, "banded", mark); n != want || err != nil || !ok {
			t.Errorf("%d are ahead of %v, %v, %v; want %d", n, mark, ok, err, want)
		}
	}
	ahead(3)
	if all, err := a.Ahead(t.Context(), tenant, "banded", 1); all != 6 || err != nil {
		t.Errorf("%d stand in line, %v", all, err)
	}
	if none, err := a.Ahead(t.Context(), tenant, "nothing", 1); none != 0 || err != nil {
		t.Errorf("%d stand in a line that is none, %v", none, err)
	}
	if got := hands(); !slices.Equal(got, []string{"urgent", "pilot", "late pilot"}) {
		t.Fatalf("first come %q", got)
	}
	home = reload(t, a, home.Ref)
	commit(t, a, home, func(*ota.Turn) { home.Rollout.Mark = 1 })
	var rest []string
	eventually(t, "the others follow", func() bool {
		rest = append(rest, hands()...)
		return len(rest) == 3
	})
	if !slices.Equal(rest, []string{"other", "another", "last"}) {
		t.Errorf("then come %q", rest)
	}
}

func reload(t *testing.T, p Process, r ota.Ref) *ota.Home {
	t.Helper()
	h, err := p.Load(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ownersPace(t *testing.T, process func(string) Process) {
	a, b := process("a"), process("b")
	for _, p := range []ota.Pace{{}, {Count: 5}} {
		if d, err := a.Draw(t.Context(), tenant, "offers", p); d != 0 || err != nil {
			t.Errorf("%v, which has no limit, gives %v, %v", p, d, err)
		}
	}
	_, err := a.Draw(t.Context(), tenant, "offers", ota.Pace{Every: time.Second})
	wantCode(t, err, ota.Invalid)
	// Two draw a minute's worth at once: the moments lie evenly, from now on.
	pace := ota.Pace{Count: 100, Every: time.Minute}
	gap := 600 * time.Millisecond
	began := time.Now()
	var first time.Duration // when the first moment was at the latest
	for i := range 50 {
		p := a
		if i%2 == 1 {
			p = b
		}
		before := time.Since(began)
		d, err := p.Draw(t.Context(), tenant, "offers", pace)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Since(began)
		if i == 0 {
			first = after
		}
		// The store saw the draw some time between before and after.
		if want := time.Duration(i) * gap; before+d > want+first || after+d < want {
			t.Errorf("moment %d comes after %v…%v, want %v", i, before+d, after+d, want)
		}
	}
	if d, err := a.Draw(t.Context(), tenant, "other", pace); d != 0 || err != nil {
		t.Errorf("another pace waits for the first: %v, %v", d, err)
	}
	if d, err := a.Draw(t.Context(), "somebody", "offers", pace); d != 0 || err != nil {
		t.Errorf("another tenant waits for the first: %v, %v", d, err)
	}
}

func ownersPaceChange(t *testing.T, process func(string) Process) {
	a := process("a")
	slow, fast := ota.Pace{Count: 1, Every: 24 * time.Hour}, ota.Pace{Count: 10, Every: time.Second}
	for range 3 {
		if _, err := a.Draw(t.Context(), tenant, "offers", slow); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := a.Draw(t.Context(), tenant, "offers", fast); d > 200*time.Millisecond || err != nil {
		t.Errorf("a faster pace waits %v for the slower one, %v", d, err)
	}
}
