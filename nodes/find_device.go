package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// FindDeviceConfig is the "with" of a find_device step.
type FindDeviceConfig struct {
	Name engine.Text `yaml:"name"`
}

// FindDevice defines find_device, which finds a device by its name.
func FindDevice() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "find_device",
		Summary: "Finds a device by its name.",
		Doc: "Behind it `device` is the one found, to be read. The run is still about what its trigger brought: " +
			"nodes that are about a device stay with that one, for a run changes nothing but what it is about.",
		Outlets: []engine.Outlet{
			{Name: "found", Sets: []engine.Root{engine.RootDevice}, Doc: "`device` is set"},
			{Name: "absent", Doc: "there is none of that name"},
		},
		Fields: []engine.Field{{Key: "name", Doc: "Its name.", Required: true}},
		Example: `chain: example
summary: Tells a sensor whether its gateway is there.
trigger: rpc_requested
steps:
  - {node: find_device, with: {name: "${text(msg.params.gateway, '')}"}, to: {absent: nobody}}
  - {node: reply, with: {json: {online: "${device.online}"}}}
branches:
  nobody: [{node: reply_error, with: {code: not_found}}]
`,
	}, FindDeviceConfig{}, func(c FindDeviceConfig) (engine.Node, error) { return &findDevice{c.Name}, nil })
}

type findDevice struct{ name engine.Text }

func (n *findDevice) Process(ctx context.Context, r *engine.Run) (string, error) {
	name, err := n.name.Get(r)
	if err != nil {
		return "", err
	}
	ref, err := r.Facts.Find(ctx, r.Msg.Tenant, ota.DeviceRef, name)
	if err == nil {
		err = see(ctx, r, ref)
	}
	switch ota.CodeOf(err) {
	case "":
		return "found", nil
	case ota.NotFound:
		return "absent", nil
	}
	return "", err
}

// see makes a device the root device of the run.
func see(ctx context.Context, r *engine.Run, ref ota.Ref) error {
	h, err := r.Facts.Get(ctx, ref)
	if err != nil {
		return err
	}
	var profile *ota.Profile
	p, err := r.Facts.Get(ctx, ota.Ref{Tenant: ref.Tenant, Type: ota.ProfileRef, ID: string(h.Device.Profile)})
	switch ota.CodeOf(err) {
	case "":
		profile = p.Profile
	case ota.NotFound: // it went a moment ago
	default:
		return err
	}
	r.See(h.Device, profile)
	return nil
}
