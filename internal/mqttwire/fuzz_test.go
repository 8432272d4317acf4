package mqttwire

import (
	"bytes"
	"io"
	"reflect"
	"testing"
)

// FuzzDecode feeds any bytes to the decoders of all versions. Whatever is
// accepted must come out of the encoder as a packet that reads the same.
func FuzzDecode(f *testing.F) {
	for _, tt := range good {
		f.Add(byte(tt.v), raw(f, tt.raw))
	}
	f.Fuzz(func(t *testing.T, level byte, b []byte) {
		v := Version(level%3) + V31
		frame, size, err := Split(b, v, 1<<16)
		if err != nil || size == 0 || len(b) < size {
			return
		}
		p := New(frame.Type)
		if p.Decode(frame, v) != nil {
			return
		}
		if c, ok := p.(*Connect); ok {
			v = c.Version
		}
		out, err := p.Append(nil, v)
		if err != nil {
			t.Fatalf("decoded, but does not encode: %+v: %v", p, err)
		}
		again, size, err := Split(out, v, 1<<17)
		if err != nil || size != len(out) {
			t.Fatalf("encoded, but does not split: %x: %v", out, err)
		}
		q := New(again.Type)
		if err := q.Decode(again, v); err != nil {
			t.Fatalf("encoded, but does not decode: %x: %v", out, err)
		}
		if !reflect.DeepEqual(p, q) {
			t.Fatalf("reads differently:\n%+v\n%+v", p, q)
		}
	})
}

// FuzzReader cuts a stream at any place: the packets must be those of the whole.
func FuzzReader(f *testing.F) {
	for _, tt := range good {
		f.Add(raw(f, tt.raw), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		r := NewReader(&stepReader{b, max(step, 1)}, 1<<12)
		for rest := b; ; {
			f, size, err := Split(rest, V311, 1<<12)
			got, gotErr := r.Next(V311)
			if err != nil || size == 0 || size > len(rest) {
				if gotErr == nil {
					t.Fatalf("Next gave a frame that Split did not: %+v", got)
				}
				return
			}
			if gotErr != nil || got.Type != f.Type || got.Flags != f.Flags || !bytes.Equal(got.Body, f.Body) {
				t.Fatalf("Next gave %+v, %v, want %+v", got, gotErr, f)
			}
			rest = rest[size:]
		}
	})
}

type stepReader struct {
	b    []byte
	step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	n := copy(p, r.b[:min(r.step, len(r.b))])
	r.b = r.b[n:]
	return n, eofIf(n == 0)
}

func eofIf(end bool) error {
	if end {
		return io.EOF
	}
	return nil
}
