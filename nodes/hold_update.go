package nodes

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// HoldUpdateConfig is the "with" of a hold_update step.
type HoldUpdateConfig struct {
	Reason engine.Text     `yaml:"reason"`
	For    engine.Duration `yaml:"for"`
	Until  engine.Time     `yaml:"until"`
	WakeOn []string        `yaml:"wake_on"`
	GiveUp engine.Duration `yaml:"give_up"`
}

// Validate asks for an end of the hold.
func (c HoldUpdateConfig) Validate() error {
	if c.For.Given() && c.Until.Given() {
		return &engine.FieldError{Key: "until", Err: errors.New("and for exclude each other")}
	}
	if !c.For.Given() && !c.Until.Given() && len(c.WakeOn) == 0 {
		return errors.New("one of for, until, wake_on is required")
	}
	return engine.Within("give_up", c.GiveUp, time.Second, 10*366*24*time.Hour)
}

// minHold is the shortest hold: a chain that holds until a moment that is past
// must not be asked again without end.
const minHold = time.Second

// HoldUpdate defines hold_update, which lets an update wait.
func HoldUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "hold_update",
		Summary: "Puts the update back into the queue for some time, and ends the run.",
		Doc: "At its time, or at an event of `wake_on`, the chain of `offer_due` is asked again from its first step, with the facts of then. The device keeps its place in the line and no attempt is used; what the update held besides is given back. " +
			"An event wakes it where its chain writes anything, as that of `telemetry` does; a mere question, such as that for a chunk, does not.",
		Subject: engine.UpdateSubject,
		NoMain:  true,
		Ends:    true,
		EndSets: []engine.Root{engine.ProofSettled},
		Outlets: []engine.Outlet{
			{Name: "overdue", Owes: true, Doc: "it has been held for `give_up` in sum; it is not held again, and the chain must end it"},
		},
		Fields: []engine.Field{
			{Key: "reason", Doc: docReason, Required: true},
			{Key: "for", Doc: "How long. Left out with `until`, until an event of `wake_on`."},
			{Key: "until", Doc: "Until when."},
			{Key: "wake_on", Doc: "Events of the device that end the hold before its time.", Enum: holdEvents()},
			{Key: "give_up", Doc: "How long the update may be held in sum. At that time the chain is asked a last time."},
		},
		Writes: true,
		Example: `chain: example
summary: Offers updates to devices that are there; the others wait for up to a month.
trigger: offer_due
steps:
  - node: check_offer
  - {node: hold_update, when: not device.online, with: {wake_on: [connected], reason: the device is away}, to: {overdue: late}}
  - node: admit_update
  - node: offer_update
branches:
  late: [{node: fail_update, with: {reason: never seen, verdict: silent}}]
`,
	}, HoldUpdateConfig{GiveUp: engine.Lit(30 * 24 * time.Hour)}, func(c HoldUpdateConfig) (engine.Node, error) {
		n := &holdUpdate{HoldUpdateConfig: c}
		for _, e := range c.WakeOn {
			n.wakeOn = append(n.wakeOn, ota.Event(e))
		}
		return n, nil
	})
}

// holdEvents are the events that can end a hold: not those that come of the
// update's own clock.
func holdEvents() []string {
	return slices.DeleteFunc(engine.DeviceEvents(), func(e string) bool { return e == string(ota.OfferDue) || e == string(ota.StateTimeout) })
}

type holdUpdate struct {
	HoldUpdateConfig
	wakeOn []ota.Event
}

func (n *holdUpdate) Process(_ context.Context, r *engine.Run) (string, error) {
	u, err := openUpdate(r, "hold update")
	if err != nil {
		return "", err
	}
	h := ota.Hold{WakeOn: n.wakeOn}
	if h.Reason, err = n.Reason.Get(r); err != nil {
		return "", err
	}
	h.Reason = clip(h.Reason)
	if h.GiveUp, err = n.GiveUp.Get(r); err != nil {
		return "", err
	}
	switch {
	case n.For.Given():
		d, err := n.For.Get(r)
		if err != nil {
			return "", err
		}
		h.Until = r.Now.Add(max(d, minHold))
	case n.Until.Given():
		until, err := n.Until.Get(r)
		if err != nil {
			return "", err
		}
		if h.Until = until; until.Sub(r.Now) < minHold {
			h.Until = r.Now.Add(minHold)
		}
	}
	if !r.Track(u.Kind).HoldBack(h, r.Now) {
		return "overdue", nil
	}
	return "", nil
}
