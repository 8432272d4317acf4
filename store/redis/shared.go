package redis

import (
	"context"
	"crypto/rand"

	"github.com/windlass-ota/windlass/ota"
)

// Shared returns a random text of 130 bits that all processes on this state
// share under a name, and that is made when it is first asked for: a key to sign
// with, say. Whoever reads the state knows it.
func (s *Store) Shared(ctx context.Context, t ota.TenantID, name string) (string, error) {
	const op = "read a shared key"
	key := tenantSlot(t).shared(name)
	if err := s.c.SetNX(ctx, key, rand.Text(), 0).Err(); err != nil {
		return "", fail(op, err)
	}
	text, err := s.c.Get(ctx, key).Result()
	return text, fail(op, err)
}

func (s slot) shared(name string) string { return string(s) + ":shared:" + name }
