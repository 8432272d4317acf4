package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

// canary is a rollout whose door is open by one stage.
func canary(t *testing.T, p Process, s ota.Stage, allowed int) *ota.Home {
	t.Helper()
	r := &ota.Rollout{ID: ota.RolloutID(ota.NewID()), Tenant: tenant, Kind: ota.Firmware, Package: "pkg", Started: p.Now(), State: ota.RolloutRunning}
	s.Name = "canary"
	r.SetPlan([]ota.Stage{s})
	if err := r.OpenStage("canary", ota.Tally{}, p.Now()); err != nil {
		t.Fatal(err)
	}
	r.Allowed = allowed
	return commit(t, p, &ota.Home{Ref: ota.Ref{Tenant: tenant, Type: ota.RolloutRef, ID: string(r.ID)}, Rollout: r}, nil)
}

// doorsByTheBook lets many devices knock and tell, in any order and often, and
// holds each answer against that of a book in memory.
func doorsByTheBook(t *testing.T, process func(string) Process) {
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // chance alone
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // chance alone
	a := process("a")
	for range 3 {
		h := canary(t, a, ota.Stage{Share: 0.1, Decided: 0.9, MaxFailed: 0.3, MinDecided: 5, MaxInFlight: 4, MaxFailures: rnd.IntN(2) * 6}, 12)
		d, _ := h.Rollout.Door()
		var book ota.Book
		devices := make([]ota.DeviceID, 20)
		type state struct {
			num, permit int
			has         ota.Admission
			verdict     ota.Verdict
			said        []ota.Told
		}
		all := make([]state, len(devices))
		for i := range devices {
			devices[i] = ota.NewDeviceID(i, 1)
		}
		for step := range 300 {
			i := rnd.IntN(len(devices))
			x := &all[i]
			told := ota.Told{Num: x.num + 1, Permit: x.permit}
			switch n := rnd.IntN(10); {
			case x.permit == 0 && x.verdict == "":
				k := ota.Knock{Rollout: h.Ref, Device: devices[i], Permit: x.num + 1, Has: x.has}
				got, err := a.Admit(t.Context(), k)
				if err != nil {
					t.Fatal(err)
				}
				want := book.Admit(d, k, a.Now())
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("step %d: %+v (-book +store):\n%s", step, k, diff)
				}
				if !got.Admitted {
					continue
				}
				x.permit = k.Permit
				told.Confirm, told.Permit, told.Fresh = true, k.Permit, x.has != ota.Admitted
				x.has = ota.Admitted
			case n < 4 && x.permit != 0:
				told.Release, told.To = true, []ota.Verdict{ota.VerdictUpdated, ota.VerdictFailed, ota.VerdictSilent}[rnd.IntN(3)]
				x.verdict, x.permit = told.To, 0
			case n < 6 && x.permit != 0:
				told.Release, told.Admitted = true, -1
				x.has, x.permit = ota.Lapsed, 0
			case n == 7 && x.verdict != "" && x.has == ota.Admitted:
				told.Admitted, told.Gone, told.Permit = -1, true, 0
				x.has = ota.NotAdmitted
			case n == 6 && x.verdict == ota.VerdictFailed:
				told.From, told.To, told.Permit = ota.VerdictFailed, ota.VerdictUpdated, 0
				x.verdict = ota.VerdictUpdated
			default: // what was said before comes again
				if len(x.said) == 0 {
					continue
				}
				told = x.said[rnd.IntN(len(x.said))]
			}
			if told.Num > x.num {
				x.num = told.Num
				x.said = append(x.said, told)
			}
			if err := a.Tell(t.Context(), h.Ref, devices[i], told); err != nil {
				t.Fatal(err)
			}
			book.Tell(d, devices[i], told)
			got, err := a.Tally(t.Context(), h.Ref)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(book.Now(a.Now()), got); diff != "" {
				t.Fatalf("step %d: tally after %+v (-book +store):\n%s", step, told, diff)
			}
		}
	}
}

// doorsCount lets many knock and fail at the same time.
func doorsCount(t *testing.T, process func(string) Process) {
	a, b := process("a"), process("b")
	h := canary(t, a, ota.Stage{Share: 0.5, Decided: 1, MaxFailed: 0.02, MinDecided: 20, MaxInFlight: 50}, 1000)
	own(t, a)
	in := make(chan ota.DeviceID, 400)
	done := make(chan error, 400)
	for i := range 400 {
		p := []Process{a, b}[i%2]
		go func() {
			d := ota.NewDeviceID(i%256, uint64(1+i/256)) //nolint:gosec // small
			got, err := p.Admit(context.WithoutCancel(t.Context()), ota.Knock{Rollout: h.Ref, Device: d, Permit: 1})
			if got.Admitted {
				in <- d
			}
			done <- err
		}()
	}
	for range 400 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if len(in) != 50 {
		t.Fatalf("%d were let in, 50 may be under way", len(in))
	}
	for range 50 {
		d := <-in
		for range 3 { // each is told three times, by both
			go func() {
				done <- a.Tell(context.WithoutCancel(t.Context()), h.Ref, d, ota.Told{Num: 2, Permit: 1, Release: true, To: ota.VerdictFailed})
			}()
		}
	}
	for range 150 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	tally, err := b.Tally(t.Context(), h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if tally.Failed != 50 || tally.InFlight != 0 || tally.Admitted != 50 || tally.Shut != h.Rollout.Epoch {
		t.Errorf("the tally is %+v", tally)
	}
	if got, err := b.Admit(t.Context(), ota.Knock{Rollout: h.Ref, Device: ota.NewDeviceID(9, 999), Permit: 1}); err != nil || got.Held != ota.HeldCrossed {
		t.Errorf("after the limit was crossed the door says %+v, %v", got, err)
	}
	// The conductor is told, once, until somebody has looked.
	var rung []ota.Task
	eventually(t, "the conductor's home is due", func() bool {
		rung = dueKeys(t, a, ota.DoorKey)
		return len(rung) == 1
	})
	if err := a.Delivered(t.Context(), rung[0]); err != nil {
		t.Fatal(err)
	}
	a.Done(rung[0])
	if again := dueKeys(t, a, ota.DoorKey); len(again) > 0 {
		t.Errorf("it is due again: %+v", again)
	}
}

func dueKeys(t *testing.T, p Process, key string) (out []ota.Task) {
	t.Helper()
	tasks, _, err := p.Due(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tasks {
		if x.Key == key {
			out = append(out, x)
		} else {
			p.Done(x)
		}
	}
	return out
}

// ownersMessages holds owners to what becomes of messages to other homes.
func ownersMessages(t *testing.T, process func(string) Process) {
	a := process("a")
	own(t, a)
	pr := profile(t, a, "p")
	d := device(t, a, "d", pr, func(*ota.Home) {})
	var want []string
	for i := range 3 {
		h, err := a.Load(t.Context(), d.Ref)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, a, h, func(turn *ota.Turn) {
			for j := range 2 {
				name := fmt.Sprint(i, ".", j)
				want = append(want, name)
				turn.Out = append(turn.Out, ota.Outgoing{To: pr.Ref, Message: ota.Message{Event: ota.Tell, Tenant: tenant, Cause: name, Told: &ota.Told{Num: i}}})
			}
		})
	}
	read := func() (tasks []ota.Task) {
		all, _, err := a.Due(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range all {
			if x.Message != nil {
				tasks = append(tasks, x)
			} else {
				a.Done(x)
			}
		}
		return tasks
	}
	var tasks []ota.Task
	eventually(t, "all messages are due", func() bool {
		tasks = append(tasks, read()...)
		return len(tasks) == len(want)
	})
	var got []string
	for _, x := range tasks {
		if x.Home != pr.Ref || x.Message.Told == nil {
			t.Errorf("a message is %+v", x)
		}
		got = append(got, x.Message.Cause)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("messages %q, want %q", got, want)
	}
	// One is taken; the others come again, as their taker died.
	if err := a.Delivered(t.Context(), tasks[0]); err != nil {
		t.Fatal(err)
	}
	late := tasks[1]
	late.Origin.Lease.Token--
	if err := a.Delivered(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	for _, x := range tasks {
		a.Done(x)
	}
	again := 0
	eventually(t, "those that were not taken come again", func() bool {
		for _, x := range read() {
			again++
			if x.Message.Cause == tasks[0].Message.Cause {
				t.Error("what was taken comes again")
			}
			if err := a.Delivered(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			a.Done(x)
		}
		return again == len(want)-1
	})
}

// doorsStop lets a thousand fail in the same moment, while others knock: who
// knocks after the stop is stored is not let in.
func doorsStop(t *testing.T, process func(string) Process) {
	const flight = 1000
	a, b := process("a"), process("b")
	h := canary(t, a, ota.Stage{Share: 1, Decided: 1, MaxFailed: 0.02, MinDecided: 20, MaxInFlight: flight + 50}, 10*flight)
	ctx := context.WithoutCancel(t.Context())
	done := make(chan error, 2*flight)
	device := func(i int) ota.DeviceID { return ota.DeviceID(fmt.Sprint("device-", i)) }
	for i := range flight {
		go func() {
			got, err := a.Admit(ctx, ota.Knock{Rollout: h.Ref, Device: device(i), Permit: 1})
			if err == nil && !got.Admitted {
				err = fmt.Errorf("device %d is held: %s", i, got.Held)
			}
			done <- err
		}()
	}
	for range flight {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for i := range flight {
		p := []Process{a, b}[i%2]
		go func() {
			done <- p.Tell(ctx, h.Ref, device(i), ota.Told{Num: 2, Permit: 1, Release: true, To: ota.VerdictFailed})
		}()
	}
	late := make(chan error)
	go func() {
		var err error
		for i := flight; err == nil && i < 3*flight; i++ {
			var was ota.Tally
			if was, err = b.Tally(ctx, h.Ref); err != nil {
				break
			}
			var got ota.Answer
			got, err = b.Admit(ctx, ota.Knock{Rollout: h.Ref, Device: device(i), Permit: 1})
			if err == nil && got.Admitted && was.Shut == h.Rollout.Epoch {
				err = fmt.Errorf("device %d was let in although the stop was stored: %+v", i, got)
			}
			if was.Shut == h.Rollout.Epoch && was.Failed == flight {
				break
			}
		}
		late <- err
	}()
	for range flight {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d verdicts in %v", flight, time.Since(began))
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	tally, err := a.Tally(ctx, h.Ref)
	if err != nil || tally.Failed != flight || tally.Shut != h.Rollout.Epoch || tally.Admitted-flight != tally.InFlight {
		t.Errorf("the tally is %+v, %v", tally, err)
	}
}
