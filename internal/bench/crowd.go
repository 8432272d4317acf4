package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/transports/mqtt/mqttload"
)

// crowd is a server with many devices that are connected and silent. The first
// of them, as many as get offers, are of a profile of their own.
type crowd struct {
	*server
	conns []net.Conn
	heard []mqttload.Listener // of those that get offers
}

func crowdToken(i int) string { return fmt.Sprint("C", i) }

const crowdTitle = "sensor"

// connectCrowd starts the server afresh, with the devices that it made the first
// time, connects them all, and returns how much memory one took.
func (b *bench) connectCrowd(ctx context.Context) (perConn float64, err error) {
	if b.crowd == nil {
		if err := b.makeCrowd(ctx); err != nil {
			return 0, err
		}
	}
	if err := b.crowd.leave(); err != nil {
		return 0, err
	}
	if b.crowd.server, err = b.server(ctx, "crowd"); err != nil {
		return 0, err
	}
	if b.crowd.conns, perConn, err = b.settle(ctx, b.crowd.process, b.crowd.mqtt); err != nil {
		return 0, err
	}
	b.crowd.heard = mqttload.Listen(b.crowd.conns[:b.Offers])
	return perConn, nil
}

// leave disconnects all and stops the server.
func (c *crowd) leave() error {
	if c == nil {
		return nil
	}
	mqttload.Close(c.conns)
	c.conns = nil
	return c.Stop()
}

func (b *bench) makeCrowd(ctx context.Context) error {
	s, err := b.server(ctx, "crowd")
	if err != nil {
		return err
	}
	b.crowd = &crowd{server: s}
	if err := s.devices(ctx, "offers", "C", 0, b.Offers); err != nil {
		return err
	}
	return s.devices(ctx, "silent", "C", b.Offers, b.Idle)
}

// settle connects a crowd to an endpoint and measures what that took.
func (b *bench) settle(ctx context.Context, p *process, addr string) (conns []net.Conn, perConn float64, err error) {
	if err := p.atRest(ctx); err != nil {
		return nil, 0, err
	}
	before, err := statOf(p.Pid())
	if err != nil {
		return nil, 0, err
	}
	if conns, err = (mqttload.Load{Addr: addr, Clients: b.Idle, Token: crowdToken}).Idle(ctx); err != nil {
		return nil, 0, err
	}
	if err := p.atRest(ctx); err != nil {
		return conns, 0, err
	}
	after, err := statOf(p.Pid())
	return conns, float64(after.rss-before.rss) / float64(b.Idle), err
}

func (b *bench) idle(ctx context.Context) (*row, error) {
	r := &row{
		What: "memory of an idle, subscribed MQTT connection", Unit: "bytes of resident memory", Goal: "≤ 8 KiB",
		Params: fmt.Sprintf("%d connections, each subscribed to its attributes; resident size before, and after all is at rest; both as the collector has left it, a fresh process each round", b.Idle),
		Raw: &part{Name: "a bare loop", measure: func(ctx context.Context) (sample, error) {
			if err := b.crowd.leave(); err != nil { // a process has not files enough for both
				return sample{}, err
			}
			floor, addr, err := b.floor(ctx, "mqtt", "1")
			if err != nil {
				return sample{}, err
			}
			conns, per, err := b.settle(ctx, floor, addr)
			mqttload.Close(conns)
			if err != nil {
				return sample{}, err
			}
			return sample{value: per}, floor.Stop()
		}},
		Ours: &part{Name: "windlass, its session and its noted device", measure: func(ctx context.Context) (sample, error) {
			per, err := b.connectCrowd(ctx)
			return sample{value: per}, err
		}},
	}
	for range min(b.Rounds, 3) {
		if err := b.once(ctx, r.Raw, r.Ours); err != nil {
			return nil, err
		}
	}
	r.compare()
	r.reaches(spreadOf(r.Ours.figures()).Median <= 8<<10)
	return r, nil
}

// crowdConnected is the crowd of row 8, or one that is made now.
func (b *bench) crowdConnected(ctx context.Context) (*crowd, error) {
	if b.crowd == nil {
		if _, err := b.connectCrowd(ctx); err != nil {
			return nil, err
		}
	}
	return b.crowd, nil
}

// offers measures from the assignment to a profile of connected devices to the
// last device that hears of it.
func (b *bench) offers(ctx context.Context) (*row, error) {
	c, err := b.crowdConnected(ctx)
	if err != nil {
		return nil, err
	}
	var first []float64
	r := &row{
		What: "offers sent, pace unlimited", Unit: "offers per CPU-s", Goal: "≥ 1,000/s", Raw: b.storeTurns(),
		Params: fmt.Sprintf("a package assigned to a profile of %d devices, all connected over MQTT; from the assignment until the last has heard; an offer is two turns (queued, then offered), the raw figure is of one", b.Offers),
		Ours: &part{Name: "windlass", measure: func(ctx context.Context) (sample, error) {
			s, after, _, err := c.offer(ctx)
			first = append(first, float64(after.Milliseconds()))
			return s, err
		}},
	}
	if err := b.interleave(ctx, r.Raw, r.Ours); err != nil {
		return nil, err
	}
	r.compare()
	r.note("the first device hears after %.0f ms", spreadOf(first).Median)
	r.reaches(spreadOf(r.Ours.PerWall).Median >= 1000)
	return r, nil
}

// offer assigns a new version and waits until all have heard of it.
func (c *crowd) offer(ctx context.Context) (s sample, first time.Duration, version string, err error) {
	version = fmt.Sprint("v", time.Now().UnixNano())
	if err := c.upload(ctx, "offers", crowdTitle, version, strings.NewReader(version)); err != nil {
		return s, 0, "", err
	}
	if err := c.atRest(ctx); err != nil {
		return s, 0, "", err
	}
	var at atomic.Int64
	s, err = c.spend(func() (int64, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		began := time.Now()
		if err := c.assign(ctx, "offers", crowdTitle, version); err != nil {
			return 0, err
		}
		err := mqttload.Await(ctx, c.heard, version, func() { at.CompareAndSwap(0, int64(time.Since(began))) })
		return int64(len(c.heard)), err
	})
	return s, time.Duration(at.Load()), version, err
}

// reports measures the words of devices on their way through an update that was
// offered to them before: five of each.
func (b *bench) reports(ctx context.Context) (*row, error) {
	c, err := b.crowdConnected(ctx)
	if err != nil {
		return nil, err
	}
	r := &row{
		What: "reported states into durable state, over MQTT QoS 1", Unit: "reports per CPU-s", Goal: "≥ 15 k/s", Raw: b.storeTurns(),
		Params: fmt.Sprintf("%d devices that go through an update: five reports of each, every one moves the update; %d devices at a time, one report under way of each; Redis with AOF everysec on a unix socket", b.Offers, b.Reporters),
		Ours: &part{Name: "windlass", measure: func(ctx context.Context) (sample, error) {
			_, _, version, err := c.offer(ctx)
			if err != nil {
				return sample{}, err
			}
			if err := c.atRest(ctx); err != nil {
				return sample{}, err
			}
			return c.spend(func() (int64, error) {
				words := wordsTo(version)
				return int64(len(c.heard) * len(words)), mqttload.Report(ctx, c.heard, b.Reporters, words)
			})
		}},
	}
	if err := b.interleave(ctx, r.Raw, r.Ours); err != nil {
		return nil, err
	}
	r.compare()
	ours := spreadOf(r.Ours.figures()).Median
	r.note("the goal is held against a CPU-second of the server; with its Redis's time added one was good for %s", number(1e6/(1e6/ours+spreadOf(r.Ours.Redis).Median)))
	r.reaches(ours >= 15e3)
	return r, nil
}

// wordsTo are what a device says on its way to a version.
func wordsTo(version string) [][]byte {
	say := func(runs, state string) []byte {
		return fmt.Appendf(nil, `{"current_fw_title":%q,"current_fw_version":%q,"fw_state":%q}`, crowdTitle, runs, state)
	}
	return [][]byte{say("old", "DOWNLOADING"), say("old", "DOWNLOADED"), say("old", "VERIFIED"), say("old", "UPDATING"), say(version, "UPDATED")}
}
