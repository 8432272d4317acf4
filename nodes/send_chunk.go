package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// SendChunkConfig is the "with" of a send_chunk step.
type SendChunkConfig struct {
	MaxSize engine.Size `yaml:"max_size"`
}

// maxChunk is the largest message that MQTT can carry, and so the largest piece
// that means anything to name.
const maxChunk = 256 << 20

// Validate bounds max_size.
func (c SendChunkConfig) Validate() error {
	return engine.Within("max_size", c.MaxSize, 0, maxChunk)
}

// SendChunk defines send_chunk, which answers with the bytes asked for.
func SendChunk() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "send_chunk",
		Summary: "Answers with the bytes of the package that were asked for.",
		Doc:     "The answer names a section; the transport moves the bytes. A piece past the end is answered too, with no bytes: devices ask one piece too many and wait for it.",
		Subject: engine.Device,
		Needs:   []engine.Root{engine.RootPackage},
		Outlets: []engine.Outlet{
			{Name: "sent"},
			{Name: "past_end", MayEnd: true, Doc: "the piece lies behind the last byte; an empty answer was given"},
			{Name: "external", Doc: "the package is a URL, which the device fetches itself; nothing was answered"},
		},
		Fields:  []engine.Field{{Key: "max_size", Doc: "The largest piece that a device may name, 256MiB at most; 0: what its transport carries. The whole file may always be asked for."}},
		Replies: true,
		Example: `chain: example
summary: Serves a piece of the package in force, 4 KiB at most.
trigger: chunk_requested
steps:
  - {node: resolve_package, with: {pin: true}, to: {absent: nothing}}
  - {node: send_chunk, with: {max_size: 4KiB}, to: {external: nothing}}
branches:
  nothing: [{node: reply_error, with: {code: not_found}}]
`,
	}, SendChunkConfig{MaxSize: engine.Lit(engine.Bytes(0))}, func(c SendChunkConfig) (engine.Node, error) {
		return &sendChunk{c.MaxSize}, nil
	})
}

type sendChunk struct{ maxSize engine.Size }

func (n *sendChunk) Process(_ context.Context, r *engine.Run) (string, error) {
	if r.Package.Blob == "" {
		return "external", nil
	}
	maxSize, err := n.maxSize.Get(r)
	if err != nil {
		return "", err
	}
	want := r.Msg.Piece() // decoded at the door, in 64 bits; Len 0 is all
	if maxSize > 0 && want.Len > int64(maxSize) {
		return "", ota.Errorf(ota.Invalid, "send chunk", "%d bytes are asked for, %d at most", want.Len, maxSize)
	}
	// The device's offset rules, not ours: it alone knows what reached its flash.
	piece := r.Package.Section(want)
	r.Reply(ota.Chunk(piece))
	if piece.Len == 0 {
		return "past_end", nil
	}
	return "sent", nil
}
