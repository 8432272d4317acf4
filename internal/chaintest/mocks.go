package chaintest

import (
	"context"
	"sync"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// mocks are the answers that a case gives in the place of steps.
type mocks struct {
	mu  sync.Mutex
	all map[stepKey]*mock
}

// stepKey names a step by its chain and its name there.
type stepKey struct{ chain, step string }

// mock is what a step is to answer.
type mock struct {
	outlet  string
	values  map[string]any
	code    ota.Code // set: it fails
	message string
	left    int // how often; below 0: always
	called  int
}

// wrap is an [engine.Wrap].
func (m *mocks) wrap(chain, step string, n engine.Node) engine.Node {
	return &mockable{m, stepKey{chain, step}, n}
}

func (m *mocks) set(k stepKey, x *mock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[stepKey]*mock{}
	}
	m.all[k] = x
}

func (m *mocks) take(k stepKey) *mock {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.all[k]
	if x == nil || x.left == 0 {
		return nil
	}
	x.left--
	x.called++
	return x
}

// mockable is a step that a case may answer for.
type mockable struct {
	m    *mocks
	key  stepKey
	node engine.Node
}

// Process implements [engine.Node].
func (n *mockable) Process(ctx context.Context, r *engine.Run) (string, error) {
	x := n.m.take(n.key)
	if x == nil {
		return n.node.Process(ctx, r)
	}
	if x.code != "" {
		return "", ota.Errorf(x.code, n.key.step, "%s", x.message)
	}
	for field, v := range x.values {
		r.Set(field, v)
	}
	return x.outlet, nil
}
