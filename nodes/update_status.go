package nodes

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// UpdateStatusConfig is the "with" of an update_status step.
type UpdateStatusConfig struct {
	Kind     engine.Kind                `yaml:"kind"`
	State    engine.Text                `yaml:"state"`
	Title    engine.Text                `yaml:"title"`
	Version  engine.Text                `yaml:"version"`
	Error    engine.Text                `yaml:"error"`
	Timeouts map[string]engine.Duration `yaml:"timeouts"`
}

// timedStates are those that a device reports and that a time-out can end.
func timedStates() []ota.State {
	return []ota.State{ota.Downloading, ota.Downloaded, ota.Verified, ota.Updating}
}

// Validate refuses a time-out for a state that a report never leads to, and one
// of no length: every state needs an end.
func (c UpdateStatusConfig) Validate() error {
	for _, name := range slices.Sorted(maps.Keys(c.Timeouts)) {
		if !slices.Contains(timedStates(), ota.State(name)) {
			return &engine.FieldError{Key: "timeouts", Err: fmt.Errorf("holds %s, want some of %v", name, timedStates())}
		}
		if d, ok := c.Timeouts[name].Literal(); ok && d <= 0 {
			return &engine.FieldError{Key: "timeouts", Err: fmt.Errorf("of %s is %v, want more than nothing", name, d)}
		}
	}
	return nil
}

// UpdateStatus defines update_status, which moves an update by what its device
// says.
func UpdateStatus() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "update_status",
		Summary: "Moves the update by what the device says about it.",
		Doc: "What is left out is read from `msg.values`: `fw_state`, `current_fw_title`, `current_fw_version`, `fw_error`, or their `sw_` twins. Texts are taken as they were written: a version 1.10 stays 1.10, also where it was sent as a number.\n\n" +
			"A device may report out of order, repeat, skip states or lie. UPDATED counts only with the target's version; said without a version it waits for one, and the target's version without a state counts too. " +
			"A repeat moves nothing. Before the offer nothing moves, save that the target's version counts. A state without an entry in `timeouts` has 24h.",
		Subject: engine.Device,
		Sets:    []engine.Root{engine.RootUpdate},
		Outlets: []engine.Outlet{
			{Name: "moved", Doc: "it is about the open update; perhaps a repeat"},
			{Name: "updated", MayEnd: true, Doc: "the device runs the target"},
			{Name: "failed", MayEnd: true, Doc: "the device says that it failed"},
			{Name: "mismatched", Doc: "it says UPDATED and runs something else: `update.reported`"},
			{Name: "unrelated", MayEnd: true, Doc: "noted; no update is concerned, or nothing was said about the kind"},
		},
		Fields: []engine.Field{
			{Key: "kind", Doc: docKind},
			{Key: "state", Doc: "The state that the device says it is in.", Enum: stateNames()},
			{Key: "title", Doc: "The title of what it runs."},
			{Key: "version", Doc: "The version of what it runs."},
			{Key: "error", Doc: "Why it failed."},
			{Key: "timeouts", Doc: "How long a device may be silent in DOWNLOADING, DOWNLOADED, VERIFIED and UPDATING before `state_timeout` follows."},
		},
		Writes: true,
		Example: `chain: example
summary: Keeps telemetry and moves firmware updates by it.
trigger: telemetry
steps:
  - node: save_telemetry
  - {node: update_status, with: {kind: firmware, timeouts: {DOWNLOADING: 2h, UPDATING: 15m}}, to: {mismatched: lied}}
branches:
  lied: [{node: fail_update, with: {reason: "runs ${update.reported.version} after the update"}}]
`,
	}, UpdateStatusConfig{}, func(c UpdateStatusConfig) (engine.Node, error) { return &updateStatus{c}, nil })
}

type updateStatus struct{ UpdateStatusConfig }

func (n *updateStatus) Process(ctx context.Context, r *engine.Run) (string, error) {
	k, err := kindOf(r, n.Kind)
	if err != nil {
		return "", err
	}
	r.Concern(k)
	report, err := n.report(r, k)
	if err != nil {
		return "", err
	}
	t := r.Track(k)
	offer := t.Offer
	outcome := t.Report(report, r.Now)
	if err := watch(ctx, r, t); err != nil {
		return "", err
	}
	if u := t.Update; u.Open() && u.State != ota.Queued && u.Timeout == 0 {
		if u.Timeout, err = n.Timeouts[string(u.State)].Get(r); err != nil {
			return "", err
		}
	}
	if t.Offer != offer { // it runs what it was about to be offered
		pkg, err := packageOf(ctx, r, t.Offer.Package)
		if err != nil {
			return "", err
		}
		if pkg != nil {
			pushOffer(r, pkg)
		}
	}
	return string(outcome), nil
}

// watch notes whether a device has left its target again, or is back, while its
// rollout is not over: what it runs later is not the rollout's.
func watch(ctx context.Context, r *engine.Run, t *ota.Track) error {
	u := t.Update
	if u == nil || u.Rollout == "" || u.Rollout != t.Followed.Rollout || t.Strays() == u.Left {
		return nil
	}
	ro, err := rolloutOf(ctx, r, u.Rollout)
	if err == nil && ro != nil && !ro.State.Ended() {
		t.Watch()
	}
	return err
}

// reportKeys are the members of a message that say how an update is: state,
// title, version, error (ThingsBoard device API).
type reportKeys [4]string

var (
	firmwareKeys = reportKeys{"fw_state", "current_fw_title", "current_fw_version", "fw_error"}
	softwareKeys = reportKeys{"sw_state", "current_sw_title", "current_sw_version", "sw_error"}
)

// report gathers what the device says, from the settings and else from the
// message.
func (n *updateStatus) report(r *engine.Run, k ota.Kind) (ota.Report, error) {
	keys := &firmwareKeys
	if k == ota.Software {
		keys = &softwareKeys
	}
	var said [len(keys)]string
	for i, s := range [...]*engine.Text{&n.State, &n.Title, &n.Version, &n.Error} {
		text := ""
		if s.Given() {
			var err error
			if text, err = s.Get(r); err != nil {
				return ota.Report{}, err
			}
		} else if len(r.Msg.Values) > 0 {
			text = written(gjson.GetBytes(r.Msg.Values, keys[i]))
		}
		said[i] = clip(text)
	}
	return ota.Report{State: said[0], Title: said[1], Version: said[2], Error: said[3]}, nil
}

// written is a JSON value as text: a string's letters, and anything else as it
// was written, so that 1.10 is not 1.1. null says nothing.
func written(v gjson.Result) string {
	switch v.Type {
	case gjson.Null:
		return ""
	case gjson.String:
		return v.Str
	}
	return v.Raw
}

// stateNames are the states of an update as devices write them.
func stateNames() []string {
	var out []string
	for _, s := range ota.States() {
		out = append(out, string(s))
	}
	return out
}
