package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	wire "github.com/windlass-ota/windlass/internal/coapwire"
)

// CoAP is a client as constrained devices have it: one request at a time, said
// again until it is answered, bodies in blocks. It is used by one goroutine.
type CoAP struct {
	Conn net.Conn      // one datagram for each Read and Write
	Ack  time.Duration // until a request is said again, twice as long each time; default 2 s
	Says int           // how often it is said, default 5
	SZX  uint8         // size of blocks that are asked for: 16<<SZX; 0 means 1024 bytes
	// Drop says whether the next datagram is lost, one that comes or goes; nil: none.
	Drop func() bool

	// Got is called with how much of a body there is, after each block; may be nil.
	Got func(bytes int)

	In, Out int64 // bytes of datagrams that came and went, lost ones not counted

	id        uint16
	token     uint64
	paths     map[string]string // of observations, by their tokens
	pushes    [][]byte
	listening bool       // for a notification alone
	last      [16]uint16 // ids of notifications that came, so that a repeat is not taken twice
	came      int
	buf       [64 << 10]byte
}

// Answer is what a server says to a request.
type Answer struct {
	Code    wire.Code
	Payload []byte
	Block   *wire.Block // of a body in blocks, the one that Payload is
	Tag     string
}

// ErrNoAnswer says that a request was said as often as it may be.
var ErrNoAnswer = errors.New("no answer")

func option(num uint16, v uint32) wire.Option {
	return wire.Option{Num: num, Value: wire.AppendUint(nil, v)}
}

// Ask says one request, path "a/b?x=1&y=2", and waits for its answer. more are
// options beside the path, in order among themselves.
func (c *CoAP) Ask(ctx context.Context, method wire.Code, path string, body []byte, more ...wire.Option) (Answer, error) {
	a, _, err := c.ask(ctx, method, path, body, more...)
	return a, err
}

func (c *CoAP) ask(ctx context.Context, method wire.Code, path string, body []byte, more ...wire.Option) (Answer, string, error) {
	if c.id == 0 {
		c.id, c.token = uint16(rand.Uint32()), rand.Uint64()
	}
	c.id++
	c.token++
	token := fmt.Appendf(nil, "%04x", c.token&0xffff)
	m := wire.Message{Type: wire.CON, Code: method, ID: c.id, Token: token, Payload: body, Options: optionsOf(path, more)}
	out := m.Append(nil)
	wait := c.Ack
	if wait <= 0 {
		wait = 2 * time.Second
	}
	says := c.Says
	if says <= 0 {
		says = 5
	}
	acknowledged := false
	for range says {
		if !acknowledged {
			if err := c.write(out); err != nil {
				return Answer{}, "", err
			}
		}
		a, err := c.await(ctx, wait, token, &acknowledged)
		if a != nil || err != nil {
			return *orNone(a), string(token), err
		}
		wait *= 2
	}
	return Answer{}, "", ErrNoAnswer
}

func orNone(a *Answer) *Answer {
	if a == nil {
		return &Answer{}
	}
	return a
}

func optionsOf(path string, more []wire.Option) []wire.Option {
	path, query, _ := strings.Cut(path, "?")
	var out []wire.Option
	for _, o := range more { // the few before the path
		if o.Num < wire.URIPath {
			out = append(out, o)
		}
	}
	for s := range strings.SplitSeq(path, "/") {
		out = append(out, wire.Option{Num: wire.URIPath, Value: plain(s)})
	}
	for _, o := range more {
		if o.Num > wire.URIPath && o.Num < wire.URIQuery {
			out = append(out, o)
		}
	}
	if query != "" {
		for s := range strings.SplitSeq(query, "&") {
			out = append(out, wire.Option{Num: wire.URIQuery, Value: plain(s)})
		}
	}
	for _, o := range more {
		if o.Num > wire.URIQuery {
			out = append(out, o)
		}
	}
	return out
}

// plain undoes the escapes of a part of a URI: over CoAP there are none.
func plain(s string) []byte {
	if u, err := url.PathUnescape(s); err == nil {
		s = u
	}
	return []byte(s)
}

func (c *CoAP) write(b []byte) error {
	if c.Drop != nil && c.Drop() {
		return nil
	}
	c.Out += int64(len(b))
	_, err := c.Conn.Write(b)
	return err
}

// await reads until the answer to a token comes; nil when time is over.
func (c *CoAP) await(ctx context.Context, wait time.Duration, token []byte, acknowledged *bool) (*Answer, error) {
	until := time.Now().Add(wait)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := c.read(ctx, until)
		if m == nil || err != nil {
			return nil, err
		}
		switch {
		case m.Code == wire.Empty && m.Type == wire.ACK && m.ID == c.id:
			*acknowledged = true // its answer comes by itself
		case m.Type == wire.RST && m.ID == c.id:
			return nil, &Refusal{What: "request", Text: "reset"}
		case !m.Code.IsRequest() && m.Code != wire.Empty && bytes.Equal(m.Token, token):
			if m.Type == wire.CON {
				if err := c.acknowledge(m.ID); err != nil {
					return nil, err
				}
			}
			return answerOf(m), nil
		}
	}
}

func answerOf(m *wire.Message) *Answer {
	a := &Answer{Code: m.Code, Payload: bytes.Clone(m.Payload)}
	if b, set, ok := m.Block(wire.Block2); set && ok {
		a.Block = &b
	}
	if tag, ok := m.Get(wire.ETag); ok {
		a.Tag = string(tag)
	}
	return a
}

func (c *CoAP) acknowledge(id uint16) error {
	return c.write((&wire.Message{Type: wire.ACK, ID: id}).Append(nil))
}

// read returns the next message; nil when it is too late. Pings are answered and
// notifications taken in passing.
func (c *CoAP) read(ctx context.Context, until time.Time) (*wire.Message, error) {
	for {
		by := until
		if d, ok := ctx.Deadline(); ok && d.Before(by) {
			by = d
		}
		if err := c.Conn.SetReadDeadline(by); err != nil {
			return nil, err
		}
		n, err := c.Conn.Read(c.buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil
		}
		var t net.Error
		if errors.As(err, &t) && t.Timeout() {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if c.Drop != nil && c.Drop() {
			continue
		}
		c.In += int64(n)
		m := &wire.Message{}
		if m.Decode(c.buf[:n]) != nil {
			continue
		}
		if m.Code == wire.Empty && m.Type == wire.CON { // RFC 7252, section 4.3
			if err := c.write((&wire.Message{Type: wire.RST, ID: m.ID}).Append(nil)); err != nil {
				return nil, err
			}
			continue
		}
		if m.Type != wire.CON && m.Type != wire.NON || c.paths[string(m.Token)] == "" {
			return m, nil
		}
		if err := c.notified(ctx, m); err != nil || c.listening {
			return nil, err
		}
	}
}

// notified takes a notification, once.
func (c *CoAP) notified(ctx context.Context, m *wire.Message) error {
	if m.Type == wire.CON {
		if err := c.acknowledge(m.ID); err != nil {
			return err
		}
	}
	for _, id := range c.last[:min(c.came, len(c.last))] {
		if id == m.ID {
			return nil
		}
	}
	c.last[c.came%len(c.last)] = m.ID
	c.came++
	a := answerOf(m)
	body := a.Payload
	if a.Block != nil && a.Block.More {
		was := c.listening
		c.listening = false
		defer func() { c.listening = was }()
		rest, err := c.rest(ctx, c.paths[string(m.Token)], body, a)
		if err != nil {
			return err
		}
		body = rest
	}
	c.pushes = append(c.pushes, body)
	return nil
}

// Fetch asks for a whole body, block by block. What a call before has got may be
// given: the rest is asked for. With an error comes what there is by then.
func (c *CoAP) Fetch(ctx context.Context, path string, got []byte) ([]byte, error) {
	szx := c.SZX
	if szx == 0 {
		szx = wire.MaxSZX
	}
	block := wire.Block{SZX: szx}
	block.Num = uint32(int64(len(got)) / block.Size())
	got = got[:block.Offset()]
	a, err := c.Ask(ctx, wire.GET, path, nil, option(wire.Block2, block.Uint()))
	if err != nil {
		return got, err
	}
	if a.Code != wire.Content {
		return got, coapRefusal("GET", a)
	}
	got = append(got, a.Payload...)
	c.tell(got)
	if a.Block == nil || !a.Block.More {
		return got, nil
	}
	return c.rest(ctx, path, got, &a)
}

func (c *CoAP) tell(got []byte) {
	if c.Got != nil {
		c.Got(len(got))
	}
}

func coapRefusal(what string, a Answer) error {
	return &Refusal{What: what, Code: int(a.Code>>5)*100 + int(a.Code&31), Text: string(a.Payload)}
}

// rest asks for the blocks behind those that there are.
func (c *CoAP) rest(ctx context.Context, path string, got []byte, first *Answer) ([]byte, error) {
	for b := *first.Block; b.More; {
		b = wire.Block{Num: uint32(int64(len(got)) / b.Size()), SZX: b.SZX}
		a, err := c.Ask(ctx, wire.GET, path, nil, option(wire.Block2, b.Uint()))
		switch {
		case err != nil:
			return got, err
		case a.Code != wire.Content:
			return got, coapRefusal("GET", a)
		case a.Tag != first.Tag:
			return nil, &Refusal{What: "GET", Text: "the body has changed meanwhile"}
		case a.Block == nil || a.Block.Num != b.Num:
			return got, &Refusal{What: "GET", Text: "another block came"}
		}
		got = append(got, a.Payload...)
		c.tell(got)
		b = *a.Block
	}
	return got, nil
}

// Post sends a body, in blocks where it is large.
func (c *CoAP) Post(ctx context.Context, path string, body []byte) (Answer, error) {
	block := wire.Block{SZX: wire.MaxSZX}
	if int64(len(body)) <= block.Size() {
		return c.Ask(ctx, wire.POST, path, body, option(wire.ContentFormat, wire.JSON))
	}
	for {
		at := block.Offset()
		piece := body[at:min(at+block.Size(), int64(len(body)))]
		block.More = at+int64(len(piece)) < int64(len(body))
		a, err := c.Ask(ctx, wire.POST, path, piece, option(wire.ContentFormat, wire.JSON), option(wire.Block1, block.Uint()))
		if err != nil || !block.More || a.Code != wire.Continue {
			return a, err
		}
		block.Num++
	}
}

// Observe begins an observation and returns its first body. Notifications come
// out of [CoAP.Next].
func (c *CoAP) Observe(ctx context.Context, path string) ([]byte, error) {
	a, token, err := c.ask(ctx, wire.GET, path, nil, option(wire.Observe, 0))
	if err != nil {
		return nil, err
	}
	if a.Code != wire.Content {
		return nil, coapRefusal("observe", a)
	}
	if c.paths == nil {
		c.paths = map[string]string{}
	}
	c.paths[token] = path
	if a.Block != nil && a.Block.More {
		return c.rest(ctx, path, a.Payload, &a)
	}
	return a.Payload, nil
}

// Next returns the next notification; nil when none came for so long.
func (c *CoAP) Next(ctx context.Context, patience time.Duration) ([]byte, error) {
	c.listening = true
	defer func() { c.listening = false }()
	for until := time.Now().Add(patience); len(c.pushes) == 0; {
		if _, err := c.read(ctx, until); err != nil {
			return nil, err
		}
		if len(c.pushes) == 0 && (ctx.Err() != nil || time.Now().After(until)) {
			return nil, ctx.Err()
		}
	}
	body := c.pushes[0]
	c.pushes = c.pushes[1:]
	return body, nil
}

// Unobserve ends an observation without waiting for an answer.
func (c *CoAP) Unobserve(path string) error {
	for token, p := range c.paths {
		if p != path {
			continue
		}
		delete(c.paths, token)
		c.id++
		m := wire.Message{Type: wire.NON, Code: wire.GET, ID: c.id, Token: []byte(token), Options: optionsOf(path, []wire.Option{option(wire.Observe, 1)})}
		return c.write(m.Append(nil))
	}
	return nil
}
