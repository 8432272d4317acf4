package mqtt

import (
	"runtime/debug"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// publishes has the publishes at the front worked through by a worker, as many
// as are there, and writes what they led to.
func (c *conn) publishes() (used int, err error) {
	if err := c.greet(); err != nil {
		return 0, err
	}
	s := c.s
	s.todo, s.used, s.err = s.in, 0, nil
	c.delegate(jobPublishes)
	if s.file != nil || len(s.out) >= flushSize {
		if err := c.flush(); err != nil {
			return s.used, err
		}
	}
	return s.used, s.err
}

// delegate has a worker do a job and waits for it.
func (c *conn) delegate(j job) {
	c.s.job = j
	c.t.workers.run(&c.s.task)
}

// errPanic ends a connection whose packet met a defect of ours; the others go on.
var errPanic = &ending{mqttwire.UnspecifiedError, "internal error"}

// work is what the worker does.
func (c *conn) work(s *scratch) {
	defer func() {
		if r := recover(); r != nil {
			c.t.log.Error("mqtt panic, connection closed", "device", c.device.ID, "panic", r, "stack", string(debug.Stack()))
			s.err = errPanic
		}
	}()
	switch s.job {
	case jobPublishes:
		c.workPublishes(s)
	case jobConnect:
		c.device, s.err = c.authenticate(&s.connect)
	case jobConnected:
		c.tell(ota.Connected)
	case jobDisconnected:
		c.partAll()
		c.tell(ota.Disconnected)
	case jobWill:
		c.sayWill(s)
	}
}

func (c *conn) workPublishes(s *scratch) {
	for range c.t.cfg.MaxInflight {
		f, size, err := mqttwire.Split(s.todo[s.used:], c.version, c.limit)
		if err != nil || size == 0 || len(s.todo)-s.used < size || f.Type != mqttwire.PUBLISH {
			return // the connection meets it again
		}
		s.used += size
		s.err = c.publish(s, f)
		if s.err != nil || s.file != nil || len(s.out) >= flushSize || c.t.stopping.Load() {
			return
		}
	}
}

// greet tells the house that the device is connected, once, when the session is
// likely to hear what that leads to: after it has subscribed to its attributes,
// before it says anything itself, or when it has been silent for a while.
func (c *conn) greet() error {
	if c.greeted {
		return nil
	}
	c.greeted = true
	c.extend(time.Now()) // until now it had to settle
	spare := c.s == nil
	if spare {
		c.s = c.t.memory.scratch(c)
	}
	err := c.flush()
	c.delegate(jobConnected)
	if spare {
		c.t.memory.giveBack(c.s)
		c.s = nil
	}
	return err
}

func (c *conn) tell(e ota.Event) {
	m := c.message(e)
	if _, err := c.t.handler.Handle(c.turns, m); err != nil {
		c.t.log.Debug("mqtt session event not handled", "event", e, "device", c.device.ID, "error", err)
	}
}
