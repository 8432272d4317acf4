package nodes

import (
	"context"
	"slices"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ApplyUpdateConfig is the "with" of an apply_update step: it has no settings.
type ApplyUpdateConfig struct{}

// ApplyUpdate defines apply_update, which tells a device to install what it has
// downloaded.
func ApplyUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "apply_update",
		Summary: "Tells a device that waits for the word to install what it has downloaded (LwM2M Execute).",
		Doc:     "Devices on other transports install by themselves. The word may be said again; a device that installs already ignores it.",
		Subject: engine.UpdateSubject,
		Outlets: []engine.Outlet{
			{Name: "sent"},
			{Name: "unsupported", MayEnd: true, Doc: "the device's transport has no such word"},
			{Name: "offline", MayEnd: true, Doc: "the device has no session"},
		},
		Example: `chain: example
summary: Keeps telemetry, and lets devices install as soon as they have downloaded.
trigger: telemetry
steps:
  - node: save_telemetry
  - {node: update_status, with: {kind: firmware}, to: {mismatched: end}}
  - {node: apply_update, when: update.state == "DOWNLOADED"}
`,
	}, ApplyUpdateConfig{}, func(ApplyUpdateConfig) (engine.Node, error) { return applyUpdate{}, nil })
}

// waitsForApply is the transport whose devices do not install by themselves.
const waitsForApply = "lwm2m"

type applyUpdate struct{}

func (applyUpdate) Process(_ context.Context, r *engine.Run) (string, error) {
	u, err := openUpdate(r, "apply update")
	if err != nil {
		return "", err
	}
	sessions := r.Device().Sessions
	switch {
	case r.Msg.Transport == waitsForApply, slices.ContainsFunc(sessions, func(s ota.Session) bool { return s.Transport == waitsForApply }):
		r.Push(ota.Reply{Word: ota.SayApply, Kind: u.Kind})
		return "sent", nil
	case len(sessions) > 0, r.Msg.Transport != "":
		return "unsupported", nil
	}
	return "offline", nil
}
