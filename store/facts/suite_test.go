package facts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/facts"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
	"github.com/windlass-ota/windlass/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wrapped is a store behind copies.
type wrapped struct {
	*facts.Copies
	s *redis.Store
}

func (w wrapped) NewDevice(ctx context.Context, t ota.TenantID, name string) (ota.DeviceID, error) {
	return w.s.NewDevice(ctx, t, name)
}

func (w wrapped) Letter(ctx context.Context, t ota.TenantID, id string) (ota.DeadLetter, error) {
	return w.s.Letter(ctx, t, id)
}

func (w wrapped) DropLetter(ctx context.Context, t ota.TenantID, id string) error {
	return w.s.DropLetter(ctx, t, id)
}

// Behind copies a store means what it means without.
func TestSuite(t *testing.T) {
	c, m := redistest.Memory(t)
	s := redis.New(c)
	t.Cleanup(func() { s.Close() })
	copies := facts.New(s, facts.Options{})
	t.Cleanup(copies.Close)
	// tag finds what the keys of a shard begin with.
	tag := func(ctx context.Context, shard int) (string, error) {
		tenant := ota.TenantID(ota.NewID())
		name := ""
		for i := 0; name == ""; i++ {
			if n := fmt.Sprint(i); redis.ShardOf(tenant, n) == shard {
				name = n
			}
		}
		if _, err := s.NewDevice(ctx, tenant, name); err != nil {
			return "", err
		}
		for _, k := range m.Keys() {
			if before, ok := strings.CutSuffix(k, ":"+string(tenant)+":next"); ok {
				return before, nil
			}
		}
		return "", errors.New("no key of the shard was found")
	}
	storetest.Homes(t, storetest.Harness{
		Store: wrapped{copies, s},
		Check: func(ctx context.Context) error {
			r, err := s.Check(ctx)
			if err != nil {
				return err
			}
			return r.Err()
		},
		Hold: func(ctx context.Context, l ota.Lease) error {
			k, err := tag(ctx, l.Shard)
			if l.Shard < 0 {
				k, err = "{t:"+string(l.Tenant)+"}", nil
			}
			if err != nil {
				return err
			}
			return c.Set(ctx, k+":lease", fmt.Sprintf("%s|%d|9999999999999", l.Owner, l.Token), 0).Err()
		},
		RaiseShard: func(ctx context.Context, t ota.TenantID, shard int, rev int64) error {
			k, err := tag(ctx, shard)
			if err != nil {
				return err
			}
			return c.Set(ctx, k+":"+string(t)+":rev", rev, 0).Err()
		},
		Entry: func(r ota.Ref, key string) string {
			if r.Type == ota.DeviceRef {
				_, num, _ := ota.DeviceID(r.ID).Place()
				return fmt.Sprintf("%s/%d:%s", r.Tenant, num, key)
			}
			return fmt.Sprintf("%s/%s:%s", r.Type, r.ID, key)
		},
	})
}
