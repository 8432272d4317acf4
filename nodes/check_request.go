package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
)

// CheckRequestConfig is the "with" of a check_request step: it has no settings.
type CheckRequestConfig struct{}

// CheckRequest defines check_request, which compares what a device asks for
// with the package found for it.
func CheckRequest() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "check_request",
		Summary: "Compares the title and version that the device asks for with the package.",
		Doc:     "A device that names neither asks for whatever there is, and matches.",
		Subject: engine.Device,
		Needs:   []engine.Root{engine.RootPackage},
		Outlets: []engine.Outlet{
			{Name: "matched", Doc: "title and version are the package's, letter by letter, or were not named"},
			{Name: "mismatched", Doc: "the device asks for another package, perhaps because the assignment has changed"},
		},
		Example: `chain: example
summary: Serves a piece of the package that the device names.
trigger: chunk_requested
steps:
  - {node: resolve_package, with: {pin: true}, to: {absent: nothing}}
  - {node: check_request, to: {mismatched: wrong}}
  - {node: send_chunk, to: {external: nothing}}
branches:
  nothing: [{node: reply_error, with: {code: not_found}}]
  wrong: [{node: reply_error, with: {code: invalid, message: another package is assigned}}]
`,
	}, CheckRequestConfig{}, func(CheckRequestConfig) (engine.Node, error) { return checkRequest{}, nil })
}

type checkRequest struct{}

func (checkRequest) Process(_ context.Context, r *engine.Run) (string, error) {
	if w := r.Msg.Want; w.Zero() || w.Is(r.Package.Version) {
		return "matched", nil
	}
	return "mismatched", nil
}
