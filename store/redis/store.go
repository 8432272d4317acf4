package redis

import (
	"github.com/redis/go-redis/v9"
)

// Store is the state in one Redis. It is safe for concurrent use.
type Store struct {
	c redis.UniversalClient
}

// New returns a store over c, which stays the caller's to close.
func New(c redis.UniversalClient) *Store { return &Store{c: c} }

// Close waits for what is under way. Call it once, before the client is closed.
func (s *Store) Close() error { return nil }
