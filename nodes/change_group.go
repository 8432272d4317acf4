package nodes

import (
	"context"
	"errors"
	"slices"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ChangeGroupConfig is the "with" of a change_group step.
type ChangeGroupConfig struct {
	Add    engine.Texts `yaml:"add"`
	Remove engine.Texts `yaml:"remove"`
}

// Validate asks for something to do.
func (c ChangeGroupConfig) Validate() error {
	if !c.Add.Given() && !c.Remove.Given() {
		return errors.New("one of add, remove is required")
	}
	return nil
}

// ChangeGroup defines change_group, which moves the device between groups.
func ChangeGroup() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "change_group",
		Summary: "Puts the device into groups and takes it out of others.",
		Doc:     "What is assigned to the groups is decided for the device anew, after the run. A group that is both added and removed is removed.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{
			{Name: "changed", Doc: "the device is in other groups now"},
			{Name: "unchanged", MayEnd: true, Doc: "it was in those groups already"},
		},
		Fields: []engine.Field{
			{Key: "add", Doc: "Groups that the device shall be in."},
			{Key: "remove", Doc: "Groups that it shall not be in."},
		},
		Writes: true,
		Example: `chain: example
summary: Moves devices that report a pilot flag into the group of pilots.
trigger: {event: attributes, if: msg.values.pilot != nil}
steps:
  - {node: set_attributes, with: {scope: client, values: "${msg.values}"}}
  - {node: filter, with: {if: "flag(msg.values.pilot, false)"}, to: {rejected: leave}}
  - {node: change_group, with: {add: [pilots]}}
branches:
  leave: [{node: change_group, with: {remove: [pilots]}}]
`,
	}, ChangeGroupConfig{}, func(c ChangeGroupConfig) (engine.Node, error) { return &changeGroup{c}, nil })
}

type changeGroup struct{ ChangeGroupConfig }

// maxGroups bounds the groups of one device.
const maxGroups = 64

func (n *changeGroup) Process(_ context.Context, r *engine.Run) (string, error) {
	add, err := n.Add.Get(r)
	if err != nil {
		return "", err
	}
	remove, err := n.Remove.Get(r)
	if err != nil {
		return "", err
	}
	d := r.Home.Device
	groups := slices.Clone(d.Groups)
	for _, g := range add {
		if id := ota.GroupID(g); g != "" && !slices.Contains(groups, id) {
			groups = append(groups, id)
		}
	}
	groups = slices.DeleteFunc(groups, func(g ota.GroupID) bool { return slices.Contains(remove, string(g)) })
	if slices.Equal(groups, d.Groups) {
		return "unchanged", nil
	}
	if len(groups) > maxGroups {
		return "", ota.Errorf(ota.Invalid, "change group", "the device would be in %d groups, %d at most", len(groups), maxGroups)
	}
	d.Groups = groups
	for _, k := range ota.Kinds() {
		r.Home.Post(ota.Pending{At: r.Now, Event: ota.Decide, Kind: k, Cause: "groups"})
	}
	return "changed", nil
}
