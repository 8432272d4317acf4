package engine

import (
	"encoding/hex"

	"github.com/windlass-ota/windlass/ota"
)

// hexID prints a turn's id.
func hexID(id ota.TurnID) string { return hex.EncodeToString([]byte(id)) }

// asked says whether somebody waits for an answer to the event.
func asked(e ota.Event) bool {
	return e == ota.AttributesRequested || e == ota.ChunkRequested || e == ota.RPCRequested
}
