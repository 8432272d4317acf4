package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestCreateDevice(t *testing.T) {
	const chain = `chain: child
summary: Makes a device behind a gateway.
trigger: rpc_requested
steps:
  - {node: create_device, name: made, with: {name: "${text(msg.params.name, '')}", profile: "${text(msg.params.profile, 'pump')}"}, to: {exists: again}}
  - {node: reply, with: {body: "${device.name} of ${device.profile}"}}
branches:
  again: [{node: reply, with: {body: "${device.name} is there"}}]
`
	ask := func(params string) ota.Message { return ota.Message{Event: ota.RPCRequested, Params: []byte(params)} }
	failed := []string{"made error"}
	facts(t, []fact{
		{"a new one", nil, chain, ask(`{"name":"child"}`), []string{"made created", "reply replied"}, []string{"body 200 child of pump"}, "", nil},
		{"one that exists", nil, chain, ask(`{"name":"dev-1"}`), []string{"made exists", "again.reply replied"}, []string{"body 200 dev-1 is there"}, "", nil},
		{"of no profile", nil, chain, ask(`{"name":"child","profile":"lamp"}`), failed, nil, ota.NotFound, nil},
		{"without a name", nil, chain, ask(`{}`), failed, nil, ota.Invalid, nil},
	})
}

func TestCreateDeviceTwice(t *testing.T) {
	const chain = "chain: child\nsummary: Makes a device.\ntrigger: connected\nsteps: [{node: create_device, with: {name: child, profile: pump}, to: {exists: end}}]\n"
	w := newWorld()
	for _, outlet := range []string{"created", "exists"} {
		same(t, "path", pathOf(w.run(t, chain, ota.Message{Event: ota.Connected})), []string{"create_device " + outlet})
	}
	ref, err := w.Find(t.Context(), tenant, ota.DeviceRef, "child")
	if err != nil {
		t.Fatal(err)
	}
	d := w.homes[ref]
	if d.Device.Credentials.Token == "" || d.Device.Profile != profile || len(d.Pending) != 2 {
		t.Errorf("the device is %+v, with %d messages to itself", d.Device, len(d.Pending))
	}
}
