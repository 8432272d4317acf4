package sim

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/windlass-ota/windlass/ota"
)

// Wire is one device's connection to a server, in one protocol. It is used by
// one goroutine.
type Wire interface {
	// Open connects; calling it again reconnects.
	Open(ctx context.Context) error
	// Report sends telemetry, one JSON object, and returns when the server has
	// acknowledged it.
	Report(ctx context.Context, values map[string]any) error
	// Attributes asks for shared attributes by name.
	Attributes(ctx context.Context, names []string) (map[string]json.RawMessage, error)
	// Changes waits for the next push of shared attributes, which may leave
	// names out. It returns nil when patience is over without one.
	Changes(ctx context.Context) (map[string]json.RawMessage, error)
	// Chunk asks for piece n of size bytes; size 0 is everything.
	Chunk(ctx context.Context, k ota.Kind, v ota.Version, size, n int64) ([]byte, error)
	// Close ends the connection; calling it twice is calling it once.
	Close() error
}

// Refusal is an answer of the server that says no.
type Refusal struct {
	What string
	Code int // as the protocol counts; 0 where it has none
	Text string
}

func (r *Refusal) Error() string {
	if r.Code == 0 {
		return fmt.Sprintf("%s: the server refused: %s", r.What, r.Text)
	}
	return fmt.Sprintf("%s: the server answered %d: %s", r.What, r.Code, r.Text)
}
