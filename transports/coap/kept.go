package coap

import (
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
)

// kept is a body of which a device has got the first block unasked, or with its
// observation. It fetches the rest by asking plainly for the same path, which
// would otherwise be answered with another body.
type kept struct {
	path  string
	tag   []byte
	body  []byte
	until time.Time
}

const (
	keepFor = 5 * time.Minute
	maxKept = 4
)

func (p *peer) keep(path string, tag, body []byte) {
	p.forget(path)
	if len(body) <= 1<<notifyBlock*16 {
		return // it goes in one piece
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) == maxKept {
		p.kept = append(p.kept[:0], p.kept[1:]...)
	}
	p.kept = append(p.kept, kept{path, tag, body, time.Now().Add(keepFor)})
}

// forget drops what is kept for a path.
func (p *peer) forget(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.kept {
		if p.kept[i].path == path {
			p.kept = append(p.kept[:i], p.kept[i+1:]...)
			return
		}
	}
}

// keptBlock answers a request for a later block of a body that is kept; nil
// where it is for something else.
func (p *peer) keptBlock(x *scratch) []byte {
	m := &x.m
	block, set, ok := m.Block(coapwire.Block2)
	if m.Code != coapwire.GET || !set || !ok || block.Num == 0 {
		return nil
	}
	if _, observes := m.Get(coapwire.Observe); observes {
		return nil
	}
	path := m.Path()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.kept {
		k := &p.kept[i]
		if k.path != path || time.Now().After(k.until) || block.Offset() >= int64(len(k.body)) {
			continue
		}
		body := k.body[block.Offset():]
		block.More = int64(len(body)) > block.Size()
		r := p.replyTo(m, coapwire.Content)
		r.Payload = body[:min(block.Size(), int64(len(body)))]
		r.Options = []coapwire.Option{
			{Num: coapwire.ETag, Value: k.tag}, {Num: coapwire.ContentFormat, Value: []byte{coapwire.JSON}},
			{Num: coapwire.Block2, Value: coapwire.AppendUint(nil, block.Uint())},
		}
		x.out = r.Append(x.out[:0])
		return x.out
	}
	return nil
}
