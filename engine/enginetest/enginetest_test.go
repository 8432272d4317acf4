package enginetest_test

import (
	"context"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/engine/enginetest"
	"github.com/windlass-ota/windlass/ota"
)

type greetConfig struct {
	Text engine.Text `yaml:"text"`
}

type greet struct{ text engine.Text }

func (n greet) Process(_ context.Context, r *engine.Run) (string, error) {
	s, err := n.text.Get(r)
	r.Reply(ota.Reply{Word: ota.SayBody, Body: []byte(s)})
	return "greeted", err
}

func greeting() engine.Factory {
	return engine.Define(engine.Spec{
		Name: "greet", Summary: "Says hello.", Subject: engine.Device, Replies: true,
		Outlets: []engine.Outlet{{Name: "greeted"}},
		Fields:  []engine.Field{{Key: "text", Doc: "What is said.", Required: true}},
		Example: "steps: [{node: greet, with: {text: hello}}]\n",
	}, greetConfig{}, func(c greetConfig) (engine.Node, error) { return greet{c.Text}, nil })
}

func TestFlowWords(t *testing.T) { enginetest.Factories(t, engine.FlowFactories()) }

func TestFactories(t *testing.T) { enginetest.Factories(t, []engine.Factory{greeting()}) }

func TestRun(t *testing.T) {
	set := enginetest.Load(t, []engine.Factory{greeting()}, "chain: hello\nsummary: Greets.\ntrigger: connected\nsteps: [{node: greet, with: {text: \"hello ${device.name} of ${device.profile}, ${device.attributes.server.site ?? 'nowhere'}\"}}]\n")
	w := &enginetest.World{
		Homes: []*ota.Home{
			{Ref: ota.RefOf("main", "d"), Device: &ota.Device{ID: "d", Tenant: "main", Name: "dev-1", Profile: "p", Credentials: ota.Credentials{Token: "t"}}},
			{Ref: ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: "p"}, Profile: &ota.Profile{ID: "p", Name: "pump"}},
		},
		Latest: []ota.Value{{Scope: ota.ServerScope, Key: "site", JSON: []byte(`"north"`)}},
	}
	r := w.Run(t, set, ota.Message{Event: ota.Connected, Tenant: "main", Device: "d"})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if got := enginetest.Path(r); got != "greet.greeted" {
		t.Errorf("path %q", got)
	}
	if got := string(r.Replies[0].Body); got != "hello dev-1 of pump, north" {
		t.Errorf("said %q", got)
	}
	if _, err := w.ByKey(t.Context(), "t"); err != nil {
		t.Error(err)
	}
	if _, err := w.Find(t.Context(), "main", ota.DeviceRef, "dev-2"); ota.CodeOf(err) != ota.NotFound {
		t.Errorf("error %v, want not found", err)
	}
}
