package coapx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a datagram's way: it loses what it is told to, and lets some come
// twice.
type line struct {
	loss  float64
	twice float64
	mu    sync.Mutex
	rand  *rand.Rand
	sent  atomic.Int64
}

func (l *line) to(peer func() *Conn) func([]byte) error {
	return func(b []byte) error {
		l.sent.Add(1)
		l.mu.Lock()
		lost, twice := l.rand.Float64() < l.loss, l.rand.Float64() < l.twice
		l.mu.Unlock()
		if !lost {
			peer().Receive(b)
			if twice {
				peer().Receive(b)
			}
		}
		return nil
	}
}

// pair is two peers on a line.
func pair(t *testing.T, l *line, serveA, serveB Handler, c Config) (a, b *Conn) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l.rand = rand.New(rand.NewPCG(seed, 1))
	a = New(l.to(func() *Conn { return b }), serveA, c)
	b = New(l.to(func() *Conn { return a }), serveB, c)
	t.Cleanup(func() { a.Close(); b.Close(); a.Close() })
	return a, b
}

var fast = Config{AckTimeout: 20 * time.Millisecond}

func TestExchanges(t *testing.T) {
	var calls atomic.Int64
	serve := func(ctx context.Context, r Asked) *Message {
		calls.Add(1)
		switch r.Path() {
		case "/slow":
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			return Response(codes.Content).Add(message.LocationPath, "x")
		case "/large":
			m := Response(codes.Content)
			m.Payload = bytes.Repeat([]byte("0123456789"), 1000)
			return m.Add(message.ETag, "1")
		case "/echo":
			m := Response(codes.Changed)
			m.Payload = r.Payload
			return m
		case "/nothing":
			return nil
		}
		return Response(codes.NotFound)
	}
	for _, loss := range []float64{0, 0.3} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			l := &line{loss: loss, twice: 0.3}
			a, _ := pair(t, l, nil, serve, fast)
			do := func(m *Message) *Message {
				t.Helper()
				for range 20 {
					r, err := a.Do(t.Context(), m)
					if err == nil {
						return r
					}
					if loss == 0 || !errors.Is(err, ErrSilent) {
						t.Fatal(err)
					}
				}
				t.Fatal("silent for too long")
				return nil
			}
			before := calls.Load()
			for i := range 20 {
				m := Request(codes.POST, "/echo")
				m.Payload = fmt.Append(nil, i)
				if r := do(m); r.Code != codes.Changed || string(r.Payload) != fmt.Sprint(i) {
					t.Fatalf("%v %q", r.Code, r.Payload)
				}
			}
			if n := calls.Load() - before; loss == 0 && n != 20 {
				t.Errorf("handled %d times: repeats were not noticed", n)
			}
			if r := do(Request(codes.GET, "/slow")); r.Code != codes.Content || r.Strings(message.LocationPath)[0] != "x" {
				t.Errorf("slow: %v", r.Code)
			}
			if r := do(Request(codes.GET, "/large")); len(r.Payload) != 10_000 || !bytes.HasSuffix(r.Payload, []byte("0123456789")) {
				t.Errorf("large: %d bytes", len(r.Payload))
			}
			if r := do(Request(codes.GET, "/other")); r.Code != codes.NotFound {
				t.Errorf("other: %v", r.Code)
			}
		})
	}
}

func TestSilentAndReset(t *testing.T) {
	c := New(func([]byte) error { return nil }, nil, Config{AckTimeout: time.Millisecond})
	defer c.Close()
	if _, err := c.Do(t.Context(), Request(codes.GET, "/x")); !errors.Is(err, ErrSilent) {
		t.Errorf("nobody: %v", err)
	}
	a, b := pair(t, &line{}, nil, nil, fast)
	if err := a.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := b.Notify(t.Context(), "unknown", Response(codes.Content)); !errors.Is(err, ErrReset) {
		t.Errorf("a notification for nobody: %v", err)
	}
	b.Close()
	if _, err := b.Do(t.Context(), Request(codes.GET, "/x")); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestObserve(t *testing.T) {
	tokens := make(chan string, 1)
	large := strings.Repeat("z", 3000)
	a, b := pair(t, &line{loss: 0.2, twice: 0.2}, nil, func(_ context.Context, r Asked) *Message {
		m := Response(codes.Content)
		if v, ok := r.Uint(message.Observe); ok && v == 0 {
			select {
			case tokens <- r.Token:
			default:
			}
			m.Set(message.Observe, 1)
			m.Payload = []byte("first")
			return m
		}
		m.Payload = []byte(large) // the state when the rest of a notification is asked for
		return m
	}, fast)
	heard := make(chan string, 10)
	r, stop, observed, err := a.Observe(t.Context(), Request(codes.GET, "/5/0/3"), func(m *Message) { heard <- string(m.Payload) })
	if err != nil || !observed || string(r.Payload) != "first" {
		t.Fatalf("%v %v", observed, err)
	}
	token := <-tokens
	say := func(seq uint32, body string) {
		t.Helper()
		m := Response(codes.Content).Set(message.Observe, seq)
		m.Payload = []byte(body)
		if len(body) > 1024 {
			m.Payload = m.Payload[:1024]
			m.SetBlock(message.Block2, Block{More: true, SZX: MaxSZX})
		}
		for {
			err := b.Notify(t.Context(), token, m)
			if err == nil {
				return
			}
			if !errors.Is(err, ErrSilent) {
				t.Fatal(err)
			}
		}
	}
	say(2, "two")
	say(4, "four")
	say(3, "three, too late")
	say(5, large)
	for _, want := range []string{"two", "four", large} {
		if got := <-heard; got != want {
			t.Fatalf("heard %.20q, want %.20q", got, want)
		}
	}
	stop()
	for {
		err := b.Notify(t.Context(), token, Response(codes.Content))
		if errors.Is(err, ErrReset) {
			break
		}
		if !errors.Is(err, ErrSilent) {
			t.Fatalf("after the end: %v", err)
		}
	}
}

// sink takes a body in blocks.
type sink struct {
	mu   sync.Mutex
	got  []byte
	ends int
}

func (s *sink) serve(_ context.Context, r Asked) *Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append([]byte(nil), r.Payload...)
	s.ends++
	return Response(codes.Changed)
}

// TestUpload: a body of any size comes whole, whatever is lost on the way.
func TestUpload(t *testing.T) {
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	for _, tt := range []struct {
		size int
		loss float64
	}{{0, 0}, {1, 0}, {1024, 0}, {1025, 0}, {100_000, 0}, {50_000, 0.3}} {
		s := &sink{}
		l := &line{loss: tt.loss}
		a, _ := pair(t, l, nil, s.serve, Config{AckTimeout: 20 * time.Millisecond, MaxBody: 1 << 20})
		var last int64
		r, err := a.Upload(t.Context(), Request(codes.PUT, "/5/0/0"), Upload{
			Size: int64(tt.size), SZX: MaxSZX, Patience: func() time.Duration { return 10 * time.Second }, Sent: func(n int64) { last = n },
			Read: func(_ context.Context, off int64, b []byte) error { copy(b, data[off:]); return nil },
		})
		if err != nil || r.Code != codes.Changed || !bytes.Equal(s.got, data[:tt.size]) || last != int64(tt.size) || s.ends < 1 || tt.loss == 0 && s.ends != 1 {
			t.Errorf("%d bytes, loss %v: %v, got %d, told %d, ended %d times", tt.size, tt.loss, err, len(s.got), last, s.ends)
		}
		t.Logf("%d bytes in %d datagrams", tt.size, l.sent.Load())
	}
}

// TestUploadBySmallBlocks: a peer says how large a block may be, with the first
// or by refusing it.
func TestUploadBySmallBlocks(t *testing.T) {
	data := bytes.Repeat([]byte("abcdefg"), 500)
	for _, refuse := range []bool{false, true} {
		var got []byte
		var b *Conn
		a := New(func(d []byte) error { b.Receive(d); return nil }, nil, fast)
		// A peer by hand: assembly is what differs.
		b = New(func(d []byte) error { a.Receive(d); return nil }, func(context.Context, Asked) *Message { return nil }, fast)
		peer := func(d []byte) error {
			p, err := decode(d)
			if err != nil {
				return err
			}
			blk, _ := p.Block(message.Block1)
			out := packet{typ: message.Acknowledgement, mid: p.mid, token: p.token, Message: *Response(codes.Continue)}
			if !blk.More {
				out.Code = codes.Changed
			}
			if refuse && blk.SZX > 2 {
				out.Code = codes.RequestEntityTooLarge
			} else {
				if blk.Off() != int64(len(got)) {
					t.Errorf("block at %d after %d bytes", blk.Off(), len(got))
				}
				got = append(got, p.Payload...)
			}
			blk.SZX = min(blk.SZX, 2)
			out.SetBlock(message.Block1, blk)
			bytes, err := out.encode()
			a.Receive(bytes)
			return err
		}
		a.write = peer
		r, err := a.Upload(t.Context(), Request(codes.PUT, "/5/0/0"), Upload{
			Size: int64(len(data)), SZX: MaxSZX, Patience: func() time.Duration { return time.Second },
			Read: func(_ context.Context, off int64, b []byte) error { copy(b, data[off:]); return nil },
		})
		if err != nil || r.Code != codes.Changed || !bytes.Equal(got, data) {
			t.Errorf("refuse %v: %v, %d bytes", refuse, err, len(got))
		}
		a.Close()
		b.Close()
	}
}

func TestUploadEnds(t *testing.T) {
	full := func(context.Context, Asked) *Message { return Response(codes.Changed) }
	a, _ := pair(t, &line{}, nil, full, Config{AckTimeout: 20 * time.Millisecond, MaxBody: 2000})
	u := Upload{Size: 5000, SZX: MaxSZX, Patience: func() time.Duration { return time.Second }, Read: func(context.Context, int64, []byte) error { return nil }}
	if r, err := a.Upload(t.Context(), Request(codes.PUT, "/5/0/0"), u); err != nil || r.Code != codes.RequestEntityTooLarge {
		t.Errorf("too large: %v, %v", r, err)
	}
	u.Read = func(context.Context, int64, []byte) error { return io.ErrUnexpectedEOF }
	if _, err := a.Upload(t.Context(), Request(codes.PUT, "/5/0/0"), u); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("unreadable: %v", err)
	}
	gone := New(func([]byte) error { return nil }, nil, Config{AckTimeout: time.Millisecond})
	defer gone.Close()
	u.Read = func(context.Context, int64, []byte) error { return nil }
	u.Patience = func() time.Duration { return 50 * time.Millisecond }
	if _, err := gone.Upload(t.Context(), Request(codes.PUT, "/5/0/0"), u); !errors.Is(err, ErrSilent) {
		t.Errorf("nobody: %v", err)
	}
}

// TestBlocksThatDoNotFit: what a peer could do wrong with blocks is told to it.
func TestBlocksThatDoNotFit(t *testing.T) {
	a, _ := pair(t, &line{}, nil, func(context.Context, Asked) *Message { return Response(codes.Changed) }, fast)
	for _, tt := range []struct {
		b    Block
		size int
		want codes.Code
	}{
		{Block{Num: 1, More: true, SZX: 2}, 64, codes.RequestEntityIncomplete},
		{Block{Num: 0, More: true, SZX: 2}, 63, codes.BadRequest},
		{Block{Num: 0, More: true, SZX: 7}, 64, codes.BadRequest},
		{Block{Num: 0, More: true, SZX: 2}, 64, codes.Continue},
		{Block{Num: 2, More: false, SZX: 2}, 1, codes.RequestEntityIncomplete},
		{Block{Num: 1, More: false, SZX: 2}, 1, codes.Changed},
		{Block{Num: 0, More: false, SZX: 2}, 1, codes.Changed},
	} {
		m := Request(codes.POST, "/rd").SetBlock(message.Block1, tt.b)
		m.Payload = make([]byte, tt.size)
		if r, err := a.Do(t.Context(), m); err != nil || r.Code != tt.want {
			t.Errorf("%+v: %v, %v", tt.b, r, err)
		}
	}
	critical := Request(codes.GET, "/rd")
	critical.Options = critical.Options.Add(message.Option{ID: 2053, Value: []byte{1}})
	if r, err := a.Do(t.Context(), critical); err != nil || r.Code != codes.BadOption {
		t.Errorf("an option that must be understood: %v, %v", r, err)
	}
}

func FuzzReceive(f *testing.F) {
	for _, p := range []packet{
		{Message: *Request(codes.POST, "/rd").Add(message.URIQuery, "ep=x"), typ: message.Confirmable, mid: 1, token: "t"},
		{Message: *Request(codes.GET, "/5/0/3").SetBlock(message.Block2, Block{Num: 3, SZX: 2}), typ: message.NonConfirmable, mid: 2},
		{Message: *Response(codes.Content).Set(message.Observe, 7), typ: message.Confirmable, mid: 3, token: "obs"},
		{typ: message.Confirmable, mid: 4},
		{typ: message.Reset, mid: 5},
	} {
		b, err := p.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		c := New(func([]byte) error { return nil }, func(context.Context, Asked) *Message { return Response(codes.Content) }, Config{AckTimeout: time.Millisecond})
		c.watched["obs"] = &watch{request: Request(codes.GET, "/x"), notify: func(*Message) {}}
		c.Receive(b)
		c.Receive(b)
		c.Close()
	})
}
