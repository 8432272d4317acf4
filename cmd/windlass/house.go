package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/blob"
	"github.com/windlass-ota/windlass/store/facts"
	"github.com/windlass-ota/windlass/store/redis"
)

// house is the state that everything else stands on.
type house struct {
	process string
	managed *redis.Server // nil: somebody else's Redis
	client  goredis.UniversalClient
	store   *redis.Store
	owner   *redis.Owner
	bus     *redis.Bus
	facts   *facts.Copies
	blobs   blob.Store
	metrics *chainMetrics
	links   *api.Links
	plan    func(ctx context.Context, chain string, args map[string]string) ([]ota.Stage, string, error) // nil until there is an engine
	warning string
}

// openHouse connects to the Redis that is configured, or starts one, and opens
// the blobs.
func openHouse(ctx context.Context, cfg *Config, log *slog.Logger) (h *house, err error) {
	goredis.SetLogger(redisLog{log})
	h = &house{process: processName(), metrics: newChainMetrics()}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	at := cfg.Redis
	if at == "" {
		h.managed, err = redis.Managed(ctx, cfg.Data, redis.ManagedOptions{Always: cfg.RedisFsync == "always", Log: log})
		if err != nil {
			return h, err
		}
		at, h.warning = h.managed.URL(), h.managed.Warning()
	}
	if h.client, err = redis.Open(ctx, redis.Options{URL: at}); err != nil {
		return h, err
	}
	h.store = redis.New(h.client)
	if h.owner, err = redis.NewOwner(h.store, h.process); err != nil {
		return h, err
	}
	if h.bus, err = redis.NewBus(h.store, h.process); err != nil {
		return h, err
	}
	key, err := h.store.Shared(ctx, ota.DefaultTenant, "links")
	if err != nil {
		return h, err
	}
	h.links = &api.Links{Base: cfg.HTTPURL, Key: []byte(key)}
	h.facts = facts.New(h.store, facts.Options{Process: h.process, Tell: h.bus.Tell})
	h.bus.OnDrop(func(refs []ota.Ref) { h.facts.Drop(refs...) })
	h.blobs, err = blob.Open(ctx, cfg.BlobsURL(), blob.Options{Log: log})
	return h, err
}

// processName is this process on the bus and in leases: never used twice.
func processName() string {
	return "p" + strconv.Itoa(os.Getpid()) + "-" + ota.NewID()[:8]
}

// close lets go of everything, in the order in which it stands on each other.
func (h *house) close() error {
	var errs []error
	if h.blobs != nil {
		errs = append(errs, h.blobs.Close())
	}
	if h.facts != nil {
		h.facts.Close()
	}
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	if h.client != nil {
		errs = append(errs, h.client.Close())
	}
	if h.managed != nil {
		errs = append(errs, h.managed.Close())
	}
	return errors.Join(errs...)
}

// wishes writes what operators and chains want.
func (h *house) wishes(cfg *Config) ota.Wishes {
	return ota.Wishes{Homes: h.facts, Facts: h.store, Chain: cfg.RolloutsChain, NewID: h.store.NewDevice, Plan: h.planned}
}

// planned works out the plan of a rollout by the chains that answer now.
func (h *house) planned(chain string, args map[string]string) ([]ota.Stage, string, error) {
	if h.plan == nil {
		return nil, "", ota.Errorf(ota.Busy, "plan rollout", "the chains are not loaded yet")
	}
	return h.plan(context.Background(), chain, args)
}

// deps is what nodes may look down at.
func (h *house) deps(cfg *Config, log *slog.Logger) engine.Deps {
	return engine.Deps{Facts: h.facts, Fresh: h.store, Lister: h.store, Blobs: h.blobs, Wishes: h.wishes(cfg), Links: h.links, Rates: h.store, Doors: h.store, Slots: h.store, Metrics: h.metrics, Logger: log}
}

// health says how each part of the state is.
func (h *house) health(ctx context.Context) []api.Part {
	r := api.Part{Name: "redis", OK: true, Detail: h.warning}
	if err := h.client.Ping(ctx).Err(); err != nil {
		r.OK, r.Detail = false, err.Error()
	}
	return []api.Part{r}
}

// redisLog takes what go-redis says of its connections: what matters of that
// comes back as errors.
type redisLog struct{ log *slog.Logger }

// Printf implements the logger of go-redis.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, v...))
}
