package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// VerifyVersionConfig is the "with" of a verify_version step: it has no
// settings.
type VerifyVersionConfig struct{}

// VerifyVersion defines verify_version, which holds what a device runs against
// the target of its update.
func VerifyVersion() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "verify_version",
		Summary: "Says whether the device reports the target of its update.",
		Doc:     "It moves nothing. A device that names only its version, and no title, is taken to mean the target's.",
		Subject: engine.UpdateSubject,
		Outlets: []engine.Outlet{
			{Name: "verified"},
			{Name: "different", Doc: "it reports something else"},
			{Name: "unknown", Doc: "it has not reported what it runs"},
		},
		Outputs: []engine.Output{{Name: "version", Type: engine.TextType, Doc: "what the device reports; empty where that is not known"}},
		Example: `chain: example
summary: Warns of devices that fell back after an update.
trigger: update_finished
steps:
  - {node: filter, with: {if: msg.state == "FAILED"}}
  - {node: verify_version, name: now, to: {different: back, unknown: end}}
branches:
  back: [{node: log, with: {level: warn, message: "${device.name} runs ${steps.now.version} again"}}]
`,
	}, VerifyVersionConfig{}, func(VerifyVersionConfig) (engine.Node, error) { return verifyVersion{}, nil })
}

type verifyVersion struct{}

func (verifyVersion) Process(_ context.Context, r *engine.Run) (string, error) {
	u := r.Update()
	if u == nil {
		return "", ota.Errorf(ota.Conflict, "verify version", "there is no update")
	}
	runs := r.Track(u.Kind).Reported
	r.Set("version", runs.Version)
	if runs.Title == "" {
		runs.Title = u.Target.Title
	}
	switch {
	case runs.Version == "":
		return "unknown", nil
	case runs.Is(u.Target):
		return "verified", nil
	}
	return "different", nil
}
