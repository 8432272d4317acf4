package coapwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMessages holds datagrams, the first two those of RFC 7252, appendix A,
// against what they say.
func TestMessages(t *testing.T) {
	tests := []struct {
		name, bytes string
		want        Message
	}{
		{"a request", "40 01 7d34 bb 74656d7065726174757265", Message{Type: CON, Code: GET, ID: 0x7d34, Options: []Option{{URIPath, []byte("temperature")}}}},
		{"its answer", "60 45 7d34 ff 32322e332043", Message{Type: ACK, Code: Content, ID: 0x7d34, Payload: []byte("22.3 C")}},
		{"a ping", "40 00 0001", Message{Type: CON, ID: 1}},
		{"a reset", "70 00 ffff", Message{Type: RST, ID: 0xffff}},
		{"a token and far options", "58 02 0002 0102030405060708 d1 2f 07 e1 0000 00", Message{
			Type: NON, Code: POST, ID: 2, Token: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Options: []Option{{60, []byte{7}}, {329, []byte{0}}},
		}},
		{"an option without a value", "40 01 0003 60 51 78", Message{Type: CON, Code: GET, ID: 3, Options: []Option{{Observe, nil}, {URIPath, []byte("x")}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			b := unhex(t, tt.bytes)
			if err := m.Decode(b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, m, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if got := m.Append(nil); !bytes.Equal(got, b) {
				t.Errorf("written as % x", got)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes string
		want  error
	}{
		"nothing":                  {"", ErrForm},
		"half a header":            {"40 01 00", ErrForm},
		"another version":          {"80 01 0001", ErrVersion},
		"a token that is too long": {"49 01 0001 010203040506070809", ErrForm},
		"a token cut off":          {"44 01 0001 010203", ErrForm},
		"no payload at its mark":   {"40 02 0001 ff", ErrForm},
		"an option cut off":        {"40 01 0001 b4 6677", ErrForm},
		"a reserved delta":         {"40 01 0001 f0 00", ErrForm},
		"a reserved length":        {"40 01 0001 0f 00", ErrForm},
		"a length cut off":         {"40 01 0001 0e 00", ErrForm},
		"numbers beyond 16 bits":   {"40 01 0001 e0 ffff", ErrForm},
		"an empty one with more":   {"40 00 0001 10", ErrForm},
	} {
		var m Message
		if err := m.Decode(unhex(t, tt.bytes)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := append([]byte{0x40, 1, 0, 1}, bytes.Repeat([]byte{0}, MaxOptions+1)...)
	if err := new(Message).Decode(many); !errors.Is(err, ErrForm) {
		t.Errorf("%d options: %v", MaxOptions+1, err)
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[uint32]string{0: "", 1: "01", 0x100: "0100", 0x12345: "012345", 0xffffffff: "ffffffff"} {
		b := AppendUint(nil, v)
		m := Message{Options: []Option{{Size2, b}}}
		if got, ok := m.Uint(Size2); hex.EncodeToString(b) != want || got != v || !ok {
			t.Errorf("%d is %x, and back %d", v, b, got)
		}
	}
	if _, ok := (&Message{Options: []Option{{Size2, make([]byte, 5)}}}).Uint(Size2); ok {
		t.Error("five bytes are a number")
	}
	if _, ok := (&Message{}).Uint(Size2); ok {
		t.Error("nothing is a number")
	}
}

func TestBlocks(t *testing.T) {
	for _, b := range []Block{{}, {Num: 1, SZX: 6}, {Num: MaxBlock, More: true, SZX: 2}} {
		if got, ok := BlockOf(b.Uint()); got != b || !ok {
			t.Errorf("%+v came back as %+v", b, got)
		}
	}
	if _, ok := BlockOf(7); ok {
		t.Error("size 7 is one over datagrams")
	}
	if b := (Block{Num: MaxBlock, SZX: MaxSZX}); b.Offset() != MaxBlock*1024 || b.Size() != 1024 {
		t.Errorf("block %+v: %d bytes at %d", b, b.Size(), b.Offset())
	}
	for name, tt := range map[string]struct {
		value   []byte
		set, ok bool
	}{"none": {nil, false, true}, "good": {[]byte{0x16}, true, true}, "too long": {[]byte{1, 0, 0, 6}, true, false}, "a wrong size": {[]byte{0x17}, true, false}} {
		m := &Message{}
		if tt.value != nil {
			m.Options = []Option{{Block2, tt.value}}
		}
		if _, set, ok := m.Block(Block2); set != tt.set || ok != tt.ok {
			t.Errorf("%s: set %v, ok %v", name, set, ok)
		}
	}
}

func TestWords(t *testing.T) {
	if s := Content.String() + " " + TooMany.String() + " " + Internal.String(); s != "2.05 4.29 5.00" {
		t.Error(s)
	}
	m := Message{Options: []Option{{URIPath, []byte("api")}, {URIPath, []byte("v1")}, {URIQuery, []byte("a=b")}}}
	if m.Path() != "api/v1" || !GET.IsRequest() || Content.IsRequest() || Empty.IsRequest() {
		t.Error(m.Path())
	}
	if !(Option{Num: URIPath}).Critical() || (Option{Num: ETag}).Critical() {
		t.Error("which options are critical")
	}
}

// TestRoundTrip: what is written is read the same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		short := rapid.SliceOfN(rapid.Byte(), 0, 20)
		m := Message{
			Type: Type(rapid.IntRange(0, 3).Draw(t, "type")), Code: Code(rapid.IntRange(1, 255).Draw(t, "code")), ID: rapid.Uint16().Draw(t, "id"),
			Token: rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "token"), Payload: short.Draw(t, "payload"),
		}
		num := 0
		for range rapid.IntRange(0, 10).Draw(t, "options") {
			num += rapid.IntRange(0, 1000).Draw(t, "delta")
			m.Options = append(m.Options, Option{uint16(num), rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "value")})
		}
		var got Message
		if err := got.Decode(m.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	b := unhex(t, "44 01 7d34 01020304 bb 74656d7065726174757265 03 616263")
	m := Message{Options: make([]Option, 0, 8)}
	if n := testing.AllocsPerRun(100, func() {
		if m.Decode(b) != nil {
			t.Fatal("not read")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode: no datagram does harm, and what is understood can be written so
// that it is understood the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"\x40\x01\x7d\x34\xbbtemperature", "\x60\x45\x7d\x34\xff22.3 C", "\x58\x02\x00\x02\x01\x02\x03\x04\x05\x06\x07\x08\xd1\x2f\x07", "\x40\x00\x00\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again Message
		if m.Decode(b) != nil {
			return
		}
		for _, num := range []uint16{Block1, Block2} {
			if block, set, ok := m.Block(num); set && ok && (block.Offset() < 0 || block.Size() > 1024) {
				t.Errorf("block %+v", block)
			}
		}
		if err := again.Decode(m.Append(nil)); err != nil {
			t.Fatalf("% x: %v", m.Append(nil), err)
		}
		if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
