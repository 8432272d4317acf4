package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ReadChunkConfig is the "with" of a read_chunk step.
type ReadChunkConfig struct {
	Offset engine.Int  `yaml:"offset"`
	Size   engine.Size `yaml:"size"`
}

// maxRead bounds what one step holds in memory.
const maxRead = 1 << 20

// Validate bounds the piece.
func (c ReadChunkConfig) Validate() error {
	return errors.Join(engine.Within("offset", c.Offset, 0, math.MaxInt), engine.Within("size", c.Size, 1, maxRead))
}

// ReadChunk defines read_chunk, which reads bytes of the package.
func ReadChunk(b ota.Blobs) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "read_chunk",
		Summary: "Reads bytes of the package, for a chain with its own wire form.",
		Doc:     "The bytes lie in memory while the run goes on: send_chunk, whose bytes the transport moves, is for large pieces. The last piece may be short.",
		Subject: engine.Device,
		Needs:   []engine.Root{engine.RootPackage},
		Outlets: []engine.Outlet{
			{Name: "read"},
			{Name: "past_end", MayEnd: true, Doc: "the piece lies behind the last byte; `bytes` is empty"},
			{Name: "external", Doc: "the package is a URL, which the device fetches itself"},
		},
		Fields: []engine.Field{
			{Key: "offset", Doc: "Where the piece begins, in bytes from 0.", Required: true},
			{Key: "size", Doc: "How long it is, 1MiB at most.", Required: true},
		},
		Outputs: []engine.Output{
			{Name: "bytes", Type: engine.BytesType, Doc: "the piece"},
			{Name: "offset", Type: engine.IntType, Doc: "where it begins"},
			{Name: "size", Type: engine.IntType, Doc: "how long it is"},
			{Name: "last", Type: engine.BoolType, Doc: "nothing comes after it"},
		},
		Example: `chain: example
summary: Hands out the package in force as hexadecimal text, 64 bytes at a time.
trigger: rpc_requested
steps:
  - {node: resolve_package, with: {kind: firmware, pin: true}, to: {absent: nothing}}
  - node: read_chunk
    name: piece
    with: {offset: "${int(number(msg.params.offset, 0))}", size: 64}
    to: {past_end: next, external: nothing}
  - {node: reply, with: {json: {data: "${hex(steps.piece.bytes)}", last: "${steps.piece.last}"}}}
branches:
  nothing: [{node: reply_error, with: {code: not_found}}]
`,
	}, ReadChunkConfig{}, func(c ReadChunkConfig) (engine.Node, error) { return &readChunk{c, b}, nil })
}

type readChunk struct {
	ReadChunkConfig
	blobs ota.Blobs
}

func (n *readChunk) Process(ctx context.Context, r *engine.Run) (string, error) {
	const op = "read chunk"
	off, err := n.Offset.Get(r)
	if err != nil {
		return "", err
	}
	size, err := n.Size.Get(r)
	if err != nil {
		return "", err
	}
	if off < 0 || size < 1 || size > maxRead {
		return "", ota.Errorf(ota.Invalid, op, "%d bytes from %d on are asked for; want 1 to %d, from 0 on", size, off, maxRead)
	}
	if r.Package.Blob == "" {
		give(r, off, nil, true)
		return "external", nil
	}
	piece := r.Package.Section(ota.Range{Off: int64(off), Len: int64(size)})
	if piece.Len == 0 {
		give(r, off, nil, true)
		return "past_end", nil
	}
	data, err := n.read(ctx, piece)
	if err != nil {
		return "", fmt.Errorf("%s of %s: %w", op, r.Package.Version, err)
	}
	give(r, off, data, piece.Off+piece.Len == r.Package.Size)
	return "read", nil
}

func give(r *engine.Run, off int, data []byte, last bool) {
	r.Set("bytes", data)
	r.Set("offset", off)
	r.Set("size", len(data))
	r.Set("last", last)
}

func (n *readChunk) read(ctx context.Context, piece ota.Section) ([]byte, error) {
	if n.blobs == nil {
		return nil, errors.New("there is nowhere to read from")
	}
	b, err := n.blobs.Open(ctx, piece.Package.Blob)
	if err != nil {
		return nil, err
	}
	data := make([]byte, piece.Len)
	_, err = io.ReadFull(io.NewSectionReader(b, piece.Off, piece.Len), data)
	return data, errors.Join(err, b.Close())
}
