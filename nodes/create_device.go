package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CreateDeviceConfig is the "with" of a create_device step.
type CreateDeviceConfig struct {
	Name    engine.Text `yaml:"name"`
	Profile engine.Text `yaml:"profile"`
}

// CreateDevice defines create_device, which makes a device.
func CreateDevice(w engine.Wisher) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "create_device",
		Summary: "Makes a device of a profile, unless there is one of that name.",
		Doc: "The device is there at once and whatever else the run does, with an access token of chance; it decides by itself what it shall run. " +
			"Where the turn is run again because somebody else was faster, the second time takes `exists`.\n\n" +
			"Behind it `device` is the one made, or the one that exists, to be read, as with find_device. A profile that does not exist is an error `not_found`.",
		Sets: []engine.Root{engine.RootDevice},
		Outlets: []engine.Outlet{
			{Name: "created"},
			{Name: "exists", Doc: "there is a device of that name, of this profile or another"},
		},
		Fields: []engine.Field{
			{Key: "name", Doc: "Its name.", Required: true},
			{Key: "profile", Doc: "The name of its profile.", Required: true},
		},
		Writes: true,
		Example: `chain: example
summary: Makes the devices behind a gateway as it names them.
trigger: rpc_requested
steps:
  - {node: create_device, with: {name: "${text(msg.params.name, '')}", profile: sensor}, to: {exists: next}}
  - {node: reply, with: {json: {id: "${device.id}"}}}
`,
	}, CreateDeviceConfig{}, func(c CreateDeviceConfig) (engine.Node, error) { return &createDevice{c, w}, nil })
}

type createDevice struct {
	CreateDeviceConfig
	wishes engine.Wisher
}

func (n *createDevice) Process(ctx context.Context, r *engine.Run) (string, error) {
	name, err := n.Name.Get(r)
	if err != nil {
		return "", err
	}
	profile, err := n.Profile.Get(r)
	if err != nil {
		return "", err
	}
	type device struct {
		Ref  ota.Ref
		Made bool
	}
	d, err := engine.Called(ctx, r, "device "+name, func() (d device, err error) {
		d.Ref, d.Made, err = n.wishes.CreateDevice(ctx, r.Msg.Tenant, name, profile)
		return d, err
	})
	if err != nil {
		return "", err
	}
	if err := see(ctx, r, d.Ref); err != nil {
		return "", err
	}
	if d.Made {
		return "created", nil
	}
	return "exists", nil
}
