package nodes

import (
	"context"
	"strconv"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// EnqueueUpdateConfig is the "with" of an enqueue_update step.
type EnqueueUpdateConfig struct {
	Priority  engine.Int  `yaml:"priority"`
	NotBefore engine.Time `yaml:"not_before"`
}

// EnqueueUpdate defines enqueue_update, which begins an update.
func EnqueueUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "enqueue_update",
		Summary: "Begins an update to the package: QUEUED, in the waiting set of its rollout.",
		Doc: "An open update to something else is replaced. A device that reports the package already is UPDATED at once and told of the offer; nothing is downloaded.\n\n" +
			"The place in the line follows from rollout and device, so that in each rollout other devices come first. Devices for which the `where` of one of the rollout's stages holds stand before all others. " +
			"A device keeps its place while it waits, also when its attributes change meanwhile; it gets another one when it is queued anew.",
		Subject: engine.Device,
		Needs:   []engine.Root{engine.RootPackage, engine.ProofCompatible},
		Sets:    []engine.Root{engine.RootUpdate, engine.ProofSettled},
		Outlets: []engine.Outlet{
			{Name: "queued", Doc: "the update waits for its turn"},
			{Name: "unchanged", MayEnd: true, Doc: "it is on its way already, or the device runs the package"},
		},
		Fields: []engine.Field{
			{Key: "priority", Doc: "Higher ones stand before all others of the rollout."},
			{Key: "not_before", Doc: "It joins the line at this time."},
		},
		Writes: true,
		Example: `chain: example
summary: Queues a device whose package changed; what is urgent comes first.
trigger: assigned
steps:
  - {node: resolve_package, to: {absent: end}}
  - {node: check_compatibility, to: {incompatible: end}}
  - {node: enqueue_update, with: {priority: "${package.tag == 'urgent' ? 10 : 0}"}}
`,
	}, EnqueueUpdateConfig{Priority: engine.Lit(0)}, func(c EnqueueUpdateConfig) (engine.Node, error) {
		return &enqueueUpdate{c.Priority, c.NotBefore}, nil
	})
}

type enqueueUpdate struct {
	priority  engine.Int
	notBefore engine.Time
}

func (n *enqueueUpdate) Process(ctx context.Context, r *engine.Run) (string, error) {
	priority, err := n.priority.Get(r)
	if err != nil {
		return "", err
	}
	notBefore, err := n.notBefore.Get(r)
	if err != nil {
		return "", err
	}
	d, pkg := r.Device(), r.Package
	t := d.Track(pkg.Kind)
	follow(r, t)
	r.Concern(pkg.Kind)
	ro, err := rolloutOf(ctx, r, r.By)
	if err != nil {
		return "", err
	}
	if ro != nil && ro.State == ota.RolloutCancelled {
		t.Cancel()
		t.Skipped = "its rollout was cancelled"
		return "unchanged", nil
	}
	id := strconv.Itoa(d.Updates + 1)
	waits := t.Enqueue(pkg, id, r.By, r.Msg.Cause, r.Now)
	u := t.Update
	if u.ID != id { // the update that is under way
		return "unchanged", nil
	}
	d.Updates++
	u.Place, u.Priority = ota.Share(string(u.Rollout), string(d.ID)), priority
	if ro != nil {
		band, err := r.Band(ctx, ro)
		if err != nil {
			return "", err
		}
		u.Place = ro.PlaceOf(band, u.Place)
	}
	if !waits {
		pushOffer(r, pkg)
		return "unchanged", nil
	}
	if notBefore.After(r.Now) {
		u.NotBefore = notBefore
	}
	return "queued", nil
}
