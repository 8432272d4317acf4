package mqtt

import (
	"slices"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// A device that nobody knows yet connects as "provision", says on one topic what
// shows that it belongs here, and hears its credentials on another. Such a guest
// has no session: nothing is said to it unasked, and it may do nothing else.
const (
	guestName       = "provision"
	provisionTopic  = "/provision/request"
	provisionAnswer = "/provision/response"
)

var errGuest = &ending{mqttwire.NotAuthorized, "a provisioning session publishes its request alone"}

// answered is the one filter that a guest may subscribe to.
var answered = &grant{provisionAnswer, feedProvision, formLong}

// isGuest says whether a CONNECT is one of somebody who wants to be made known.
func (c *conn) isGuest(p *mqttwire.Connect) bool {
	return c.t.provisioner != nil && (string(p.UserName) == guestName || string(p.ClientID) == guestName)
}

// host lets a guest in.
func (c *conn) host(p *mqttwire.Connect) {
	c.id, c.open, c.guest, c.greeted = c.t.router.NewID(), true, true, true
	c.limit = min(c.t.cfg.MaxPayload, maxConnect) + slack
	c.settleFor(p)
	c.leaveBy = time.Now().Add(c.t.cfg.GuestTime)
	c.say.init(p, false)
	c.t.counts.accepted.Add(1)
	var ack mqttwire.Connack
	if c.version == mqttwire.V5 {
		c.describe(p, &ack.Props)
	}
	c.s.out = c.append(c.s.out, &ack)
}

// provision works a guest's publish.
func (c *conn) provision(s *scratch, p *mqttwire.Publish) error {
	if string(p.Topic) != provisionTopic {
		return errGuest
	}
	reply, ok, err := c.t.provisioner.Provision(c.turns, slices.Clone(p.Payload), c.addr)
	switch ota.CodeOf(err) {
	case "":
	case ota.Invalid:
		return c.unreadable(s, p)
	case ota.Busy:
		return errBusy
	default:
		c.t.log.Error("mqtt provisioning failed", "address", c.addr, "error", err)
		return errPanic
	}
	c.t.log.Debug("mqtt provisioning", "address", c.addr, "ok", ok)
	c.acknowledge(s, p, mqttwire.Success)
	s.topic = append(s.topic[:0], provisionAnswer...)
	c.say1(s, feedProvision, formLong, reply)
	c.leaveBy = time.Now().Add(c.t.cfg.GuestTime)
	return nil
}

// mayBeClaimed notes that a device lets itself be claimed.
func (c *conn) mayBeClaimed(s *scratch, p *mqttwire.Publish) error {
	if c.t.provisioner == nil {
		return c.arrived(s, p)
	}
	err := c.t.provisioner.Claim(c.turns, c.device, slices.Clone(p.Payload))
	switch ota.CodeOf(err) {
	case ota.Busy:
		return c.busy(p)
	case ota.Invalid:
		return c.unreadable(s, p)
	}
	c.acknowledge(s, p, reasonOf(ota.CodeOf(err)))
	return nil
}
