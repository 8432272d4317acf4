// Package chains holds the chains that Windlass ships: what it does on each
// event, in the language that integrators write. They are embedded in the
// binary; `windlass chains export` writes them out to be changed.
//
// It knows nothing of nodes or of the engine: the files are data.
package chains

import (
	"embed"
	"io/fs"
)

// The chains stand here one by one, since the tests beside them are not shipped.
//
//go:embed assign.yaml attributes.yaml attributes_request.yaml download.yaml offer.yaml reconcile.yaml reconcile_kind.yaml
//go:embed report.yaml rollout.yaml rpc.yaml scheduled.yaml state_timeout.yaml telemetry.yaml unassign.yaml
var files embed.FS

// Shipped is a folder with the shipped chains, one file each. It is read only
// and always the same.
func Shipped() fs.FS { return files }
