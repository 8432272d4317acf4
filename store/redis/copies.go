package redis

import (
	"context"
	"encoding/json"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// copiesChannel is where every process hears which nouns of tenants were
// written. What concerns one process goes through its own channel.
const copiesChannel = "copies"

// stale says which copies are old, and to whom that matters.
type stale struct {
	process string // "" is everybody
	refs    []ota.Ref
}

// staleWire is how it goes over a channel: an object, where words are a list.
type staleWire struct {
	From string    `json:"from"`
	Refs []ota.Ref `json:"refs"`
}

// OnDrop sets what is called with homes that another process has written, so
// that copies of them are dropped. Call it before [Bus.Listen].
func (b *Bus) OnDrop(drop func([]ota.Ref)) { b.drop = drop }

// Tell lets a process, or all where it is "", drop its copies of homes. It never
// blocks and promises nothing: copies get old by themselves. It works while
// [Bus.Listen] does.
func (b *Bus) Tell(process string, refs []ota.Ref) {
	select {
	case b.stale <- stale{process, refs}:
	default:
	}
}

const (
	tellTime = 2 * time.Second
	maxTell  = 256 // refs in one message
)

// tell sends what is stale, what has gathered in one message for each process.
func (b *Bus) tell(ctx context.Context) {
	for {
		var first stale
		select {
		case first = <-b.stale:
		case <-ctx.Done():
			return
		}
		to := map[string][]ota.Ref{first.process: first.refs}
	more:
		for n := len(first.refs); n < maxTell; {
			select {
			case s := <-b.stale:
				to[s.process] = append(to[s.process][:len(to[s.process]):len(to[s.process])], s.refs...)
				n += len(s.refs)
			default:
				break more
			}
		}
		for process, refs := range to {
			b.sendStale(ctx, process, refs)
		}
	}
}

func (b *Bus) sendStale(ctx context.Context, process string, refs []ota.Ref) {
	text, err := json.Marshal(staleWire{b.name, refs})
	if err != nil {
		return // cannot happen with texts
	}
	verb, channel := "publish", copiesChannel
	if process != "" {
		channel = busChannel(process)
		if b.sharded {
			verb = "spublish"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	_ = b.s.ask(ctx, busLane(channel), redis.NewIntCmd(ctx, verb, channel, text)) // see Tell
}

func (b *Bus) heardStale(text string) {
	var w staleWire
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		b.dropped.Add(1)
		return
	}
	if w.From != b.name && len(w.Refs) > 0 {
		b.drop(w.Refs)
	}
}
