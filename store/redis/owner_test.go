package redis

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/windlass-ota/windlass/store/redis/redistest"
	"github.com/windlass-ota/windlass/store/storetest"
)

// A pool whose server died looks for it once a second, also when it was closed
// meanwhile: that goroutine of the client's ends by itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// emptied is c without anything in it.
func emptied(t *testing.T, c redis.UniversalClient) redis.UniversalClient {
	t.Helper()
	flush := func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }
	var err error
	switch c := c.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(t.Context(), flush)
	case *redis.Client:
		err = flush(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// backends are the kinds of Redis that owners and buses must work on.
var backends = map[string]func(t testing.TB) redis.UniversalClient{
	"memory": func(t testing.TB) redis.UniversalClient {
		c, _ := redistest.Memory(t)
		return c
	},
	"server":  redistest.Single,
	"cluster": redistest.Cluster,
}

func TestOwners(t *testing.T) {
	for name, start := range backends {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			storetest.Owners(t, func(t *testing.T) func(string) storetest.Process {
				emptied(t, c)
				return func(process string) storetest.Process {
					s := New(c)
					t.Cleanup(func() { s.Close() })
					o, err := NewOwner(s, process)
					if err != nil {
						t.Fatal(err)
					}
					return storetest.Process{Stored: s, Owner: o}
				}
			})
		})
	}
}
