package redis

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
	"github.com/windlass-ota/windlass/store/storetest"
)

// kinds are the three kinds of Redis that everything must hold on.
var kinds = map[string]func(t testing.TB) redis.UniversalClient{
	"memory": func(t testing.TB) redis.UniversalClient {
		c, _ := redistest.Memory(t)
		return c
	},
	"server":  redistest.Single,
	"cluster": redistest.Cluster,
}

func open(t testing.TB, c redis.UniversalClient) *Store {
	t.Helper()
	s := New(c)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func harness(s *Store) storetest.Harness {
	return storetest.Harness{
		Store: s,
		Check: func(ctx context.Context) error {
			r, err := s.Check(ctx)
			if err != nil {
				return err
			}
			return r.Err()
		},
		Hold: func(ctx context.Context, l ota.Lease) error {
			return s.c.Set(ctx, leaseSlot(l).lease(), leaseHead(l)+"9999999999999", 0).Err()
		},
		RaiseShard: func(ctx context.Context, t ota.TenantID, shard int, rev int64) error {
			return s.c.Set(ctx, shardSlot(shard).in(t).rev(), rev, 0).Err()
		},
		Entry: func(r ota.Ref, key string) string {
			at, err := placeOf(r)
			if err != nil {
				panic(fmt.Sprint(r, err))
			}
			return dueMember(at.short, key)
		},
	}
}

func TestHomes(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			storetest.Homes(t, harness(open(t, start(t))))
		})
	}
}

func TestChains(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			storetest.Chains(t, harness(open(t, start(t))))
		})
	}
}
