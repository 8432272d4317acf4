package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestReadChunk(t *testing.T) {
	const chain = `chain: piece
summary: Hands out a piece in a form of its own.
trigger: rpc_requested
steps:
  - {node: resolve_package, with: {kind: firmware}, to: {absent: nothing}}
  - node: read_chunk
    name: p
    with: {offset: "${int(number(msg.params.at, 0))}", size: "${int(number(msg.params.size, 0))}"}
    to: {past_end: next, external: nothing}
  - {node: reply, with: {body: "${steps.p.offset}+${steps.p.size} ${base64(steps.p.bytes)} ${steps.p.last}"}}
branches:
  nothing: [{node: reply_error, with: {code: not_found}}]
`
	ask := func(params string) ota.Message { return ota.Message{Event: ota.RPCRequested, Params: []byte(params)} }
	given := func(w *world) { // of 10 bytes
		w.assign(app12)
		w.blobs = files{"digest-of-app-1.2": "0123456789"}
	}
	path := func(outlet string) []string { return []string{"resolve_package found", "p " + outlet, "reply replied"} }
	failed := []string{"resolve_package found", "p error"}
	facts(t, []fact{
		{"first", given, chain, ask(`{"size":4}`), path("read"), []string{"body 200 0+4 MDEyMw== false"}, "", nil},
		{"short last", given, chain, ask(`{"at":8,"size":4}`), path("read"), []string{"body 200 8+2 ODk= true"}, "", nil},
		{"last to the byte", given, chain, ask(`{"at":6,"size":4}`), path("read"), []string{"body 200 6+4 Njc4OQ== true"}, "", nil},
		{"all in a large one", given, chain, ask(`{"size":1048576}`), path("read"), []string{"body 200 0+10 MDEyMzQ1Njc4OQ== true"}, "", nil},
		{"past the end", given, chain, ask(`{"at":10,"size":4}`), path("past_end"), []string{"body 200 10+0  true"}, "", nil},
		{"too large", given, chain, ask(`{"size":1048577}`), failed, nil, ota.Invalid, nil},
		{"of no size", given, chain, ask(`{"at":1}`), failed, nil, ota.Invalid, nil},
		{"before the beginning", given, chain, ask(`{"at":-1,"size":4}`), failed, nil, ota.Invalid, nil},
		{"the files are away", func(w *world) { w.assign(app12) }, chain, ask(`{"size":4}`), failed, nil, ota.Busy, nil},
		{"the file is short", func(w *world) {
			given(w)
			w.blobs["digest-of-app-1.2"] = "0123"
		}, chain, ask(`{"at":2,"size":4}`), failed, nil, ota.Internal, nil},
		{"a URL", func(w *world) {
			given(w)
			w.pkg(app12).Blob, w.pkg(app12).URL = "", "https://example.com/app"
		}, chain, ask(`{"size":4}`), []string{"resolve_package found", "p external", "nothing.reply_error"}, []string{"error not_found"}, "", nil},
	})
}

func TestReadChunkRefusesLargePieces(t *testing.T) {
	got := faultsOf(t, "chain: x\nsummary: A test.\ntrigger: connected\nsteps:\n  - {node: resolve_package, with: {kind: firmware}, to: {absent: end}}\n  - {node: read_chunk, with: {offset: 0, size: 2MiB}, to: {external: end}}\n")
	same(t, "fault", got, "x.yaml:6:42: size is 2097152, want 1 to 1048576 (bad_literal)")
}
