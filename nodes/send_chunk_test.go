package nodes_test

import (
	"math"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestSendChunk(t *testing.T) {
	ask := func(size, chunk int64) ota.Message {
		return ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware, Size: size, Chunk: chunk}
	}
	ranged := ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware, Range: &ota.Range{Off: 7, Len: 2}}
	given := func(w *world) { w.assign(app12) } // of 10 bytes
	path := func(outlet string) []string { return []string{"resolve_package found", "send_chunk " + outlet} }
	piece := func(s string) []string { return []string{"chunk app@1.2 " + s} }
	facts(t, []fact{
		{"first", given, "send_small", ask(4, 0), path("sent"), piece("0+4"), "", nil},
		{"short last", given, "send_small", ask(4, 2), path("sent"), piece("8+2"), "", nil},
		{"past the end", given, "send_small", ask(4, 3), path("past_end"), piece("10+0"), "", nil},
		{"far past the end", given, "send_small", ask(4, math.MaxInt64), path("past_end"), piece("10+0"), "", nil},
		{"all", given, "send_small", ask(0, 9), path("sent"), piece("0+10"), "", nil},
		{"a range", given, "send_small", ranged, path("sent"), piece("7+2"), "", nil},
		{"too large", given, "send_small", ask(5, 0), path("error"), nil, ota.Invalid, nil},
		{"a URL", func(w *world) {
			given(w)
			w.pkg(app12).Blob, w.pkg(app12).URL = "", "https://example.com/app"
		}, "send_small", ask(4, 0), []string{"resolve_package found", "send_chunk external", "nothing.reply_error"}, []string{"error not_found"}, "", nil},
	})
}
