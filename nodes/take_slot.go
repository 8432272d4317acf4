package nodes

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// TakeSlotConfig is the "with" of a take_slot step.
type TakeSlotConfig struct {
	Key   engine.Text     `yaml:"key"`
	Max   engine.Int      `yaml:"max"`
	Lease engine.Duration `yaml:"lease"`
}

// Validate holds the settings in their bounds.
func (c TakeSlotConfig) Validate() error {
	return errors.Join(engine.Within("max", c.Max, 1, maxDevices), engine.Within("lease", c.Lease, time.Second, 365*24*time.Hour))
}

// TakeSlot defines take_slot, which bounds how many update at a time.
func TakeSlot(slots ota.Slots) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "take_slot",
		Summary: "Takes one of `max` places under a key, until the update is over or back in the queue.",
		Doc: "Three devices at a time at one site, say. The place comes back when the update ends or is queued again, also where this run ends without an offer; " +
			"at the latest when the lease does, so that nothing that dies can keep it. The same key means the same places in all chains.",
		Subject: engine.UpdateSubject,
		Outlets: []engine.Outlet{
			{Name: "taken", Doc: "the update has a place"},
			{Name: "full", Doc: "others have them all"},
		},
		Fields: []engine.Field{
			{Key: "key", Doc: "Whose places they are.", Required: true},
			{Key: "max", Doc: "How many there are.", Required: true},
			{Key: "lease", Doc: "How long the update may have its place at most."},
		},
		Writes: true,
		Example: `chain: example
summary: Offers updates to three devices of a site at a time.
trigger: offer_due
fields: {server: {site: text}}
steps:
  - node: check_offer
  - {node: take_slot, with: {key: "site ${device.attributes.server.site ?? 'none'}", max: 3}, to: {full: busy}}
  - node: admit_update
  - node: offer_update
branches:
  busy: [{node: hold_update, with: {for: 5m, reason: other devices of its site are updating}, to: {overdue: late}}]
  late: [{node: fail_update, with: {reason: its site was never free, verdict: silent}}]
`,
	}, TakeSlotConfig{Lease: engine.Lit(6 * time.Hour)}, func(c TakeSlotConfig) (engine.Node, error) { return &takeSlot{c, slots}, nil })
}

type takeSlot struct {
	TakeSlotConfig
	slots ota.Slots
}

func (n *takeSlot) Process(ctx context.Context, r *engine.Run) (string, error) {
	u, err := openUpdate(r, "take slot")
	if err != nil {
		return "", err
	}
	key, err := n.Key.Get(r)
	if err != nil {
		return "", err
	}
	most, err := n.Max.Get(r)
	if err != nil {
		return "", err
	}
	lease, err := n.Lease.Get(r)
	switch {
	case err != nil:
		return "", err
	case key == "":
		return "", ota.Errorf(ota.Invalid, "take slot", "the key is empty")
	case n.slots == nil:
		return "", ota.Errorf(ota.Internal, "take slot", "there are no slots here")
	case u.HasSlot(key):
		return "taken", nil
	case most < 1:
		return "full", nil
	}
	num := r.Track(u.Kind).NextPermit()
	k := ota.SlotKnock{Tenant: r.Msg.Tenant, Key: clip(key), Holder: ota.SlotHolder(r.Device().ID, u.Kind, num), Max: most, Lease: max(lease, time.Second)}
	has, err := engine.Called(ctx, r, "slot "+strconv.Itoa(num)+" "+key, func() (bool, error) { return n.slots.TakeSlot(ctx, k) })
	if err != nil {
		return "", err
	}
	if !has {
		return "full", nil
	}
	return "taken", u.HoldSlot(k.Key, num)
}
