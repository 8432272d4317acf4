package coap

import (
	"bytes"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/udp/client"
	"github.com/plgd-dev/go-coap/v3/udp/coder"
)

// repeats remembers the answers to the last messages of a peer, so that one that
// is sent again is not handled again (RFC 7252, section 4.5). A device has few
// in flight; go-coap's own memory keeps all of four minutes and is walked
// through for each datagram.
type repeats struct {
	mu   sync.Mutex
	last [16]repeat
	next int
}

type repeat struct {
	key   string
	bytes []byte
	until time.Time
}

// Load implements [client.MessageCache].
func (r *repeats) Load(key string, m *pool.Message) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.last {
		if x := &r.last[i]; x.key == key && time.Now().Before(x.until) {
			_, err := m.UnmarshalWithDecoder(coder.DefaultCoder, bytes.Clone(x.bytes))
			return err == nil, err
		}
	}
	return false, nil
}

// Store implements [client.MessageCache].
func (r *repeats) Store(key string, m *pool.Message) error {
	b, err := m.MarshalWithEncoder(coder.DefaultCoder)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	x := &r.last[r.next%len(r.last)]
	r.next++
	x.key, x.bytes, x.until = key, append(x.bytes[:0], b...), time.Now().Add(client.ExchangeLifetime)
	return nil
}

// CheckExpirations implements [client.MessageCache].
func (r *repeats) CheckExpirations(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.last {
		if x := &r.last[i]; x.key != "" && now.After(x.until) {
			*x = repeat{}
		}
	}
}
