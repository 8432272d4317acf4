package mqtt

import (
	"bytes"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/mqttwire"
)

// feed is what a subscription makes a session hear.
type feed byte

const (
	feedNone feed = iota // granted and never used
	feedAttributes
	feedAttributesResponse
	feedRPCRequest
	feedRPCResponse
	feedFirmware
	feedSoftware
	feedError
	feedProvision
	feedGatewayAttributes
	feedGatewayResponse
	feedGatewayRPC
	feedOwn // a topic that chains speak on
)

// grant is a topic filter that is granted, and what it means.
type grant struct {
	filter string
	feed   feed
	form   form
}

// filters are the topic filters that are granted, as exact text: a device sees
// its own topics alone, so there is nothing to match. ThingsBoard refuses
// v2/fw/response/+ although its own clients subscribe to it; some of them then
// report a failed update, so it is granted here.
//
// Of the protobuf forms (v2/…/p) those of attributes are granted, where the
// profile speaks that.
var filters = byFilter([]grant{
	{"v1/devices/me/attributes", feedAttributes, formLong},
	{"v1/devices/me/attributes/response/+", feedAttributesResponse, formLong},
	{"v1/devices/me/rpc/request/+", feedRPCRequest, formLong},
	{"v1/devices/me/rpc/response/+", feedRPCResponse, formLong},
	{"v2/a", feedAttributes, formShort},
	{"v2/a/j", feedAttributes, formShortJSON},
	{"v2/a/p", feedAttributes, formProto},
	{"v2/a/res/p/+", feedAttributesResponse, formProto},
	{"v2/a/res/+", feedAttributesResponse, formShort},
	{"v2/a/res/j/+", feedAttributesResponse, formShortJSON},
	{"v2/r/req/+", feedRPCRequest, formShort},
	{"v2/r/req/j/+", feedRPCRequest, formShortJSON},
	{"v2/r/res/+", feedRPCResponse, formShort},
	{"v2/r/res/j/+", feedRPCResponse, formShortJSON},
	{"v2/fw/response/+/chunk/+", feedFirmware, formShort},
	{"v2/fw/response/+", feedFirmware, formShort},
	{"v2/fw/error", feedError, formShort},
	{"v2/sw/response/+/chunk/+", feedSoftware, formShort},
	{"v2/sw/response/+", feedSoftware, formShort},
	{"v2/sw/error", feedNone, formShort},
	{gatewayAttributes, feedGatewayAttributes, formLong},
	{gatewayAnswers, feedGatewayResponse, formLong},
	{gatewayRPC, feedGatewayRPC, formLong},
	{"v1/gateway/fw/response/+/+/chunk/+", feedFirmware, formLong},
	{"v1/gateway/sw/response/+/+/chunk/+", feedSoftware, formLong},
	{gatewayError, feedError, formLong},
})

// find understands a topic filter; nil is refused. A filter that names a number
// where a granted one has a plus stands for that one: some tools subscribe to
// the very topic that they expect an answer on.
func find(filter []byte) *grant {
	if g := filters[string(filter)]; g != nil {
		return g
	}
	var buf [64]byte
	general := buf[:0]
	for len(filter) > 0 {
		level, rest, more := bytes.Cut(filter, []byte{'/'})
		if _, digits, fits := number(level); digits > 0 && digits == len(level) && fits {
			level = []byte{'+'}
		}
		if general = append(general, level...); more {
			general = append(general, '/')
		}
		if len(general) > len(buf) {
			return nil // longer than any
		}
		filter = rest
	}
	return filters[string(general)]
}

func byFilter(grants []grant) map[string]*grant {
	out := make(map[string]*grant, len(grants))
	for i := range grants {
		out[grants[i].filter] = &grants[i]
	}
	return out
}

// subscription is one granted filter of a session.
type subscription struct {
	*grant
	qos byte
}

// subscriptions are those of one session, oldest first. They are few.
type subscriptions []subscription

// add grants a filter, or moves it to the end when it is there already: the
// form subscribed to last is the one that pushes take.
func (s subscriptions) add(g *grant, qos byte) subscriptions {
	s, _ = s.remove(g)
	return append(s, subscription{g, g.grants(qos)})
}

// grants is the quality that a filter is granted with: on ThingsBoard's topics
// at most 1, as there; on others what the client asks for.
func (g *grant) grants(qos byte) byte {
	if g.feed == feedOwn {
		return qos
	}
	return min(qos, 1)
}

// remove takes a filter back and says whether it was there.
func (s subscriptions) remove(g *grant) (subscriptions, bool) {
	before := len(s)
	s = slices.DeleteFunc(s, func(have subscription) bool { return have.grant == g })
	return s, len(s) < before
}

// last returns the latest subscription to a feed.
func (s subscriptions) last(f feed) (subscription, bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].feed == f {
			return s[i], true
		}
	}
	return subscription{}, false
}

// qosOf is the quality of an answer: that of a subscription which covers it,
// else 1 (ThingsBoard MQTT device API).
func (s subscriptions) qosOf(f feed, form form) byte {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].feed == f && s[i].form == form {
			return s[i].qos
		}
	}
	return 1
}

// grant is what a filter of the client's means; nil: it is refused.
func (c *conn) grant(filter []byte) *grant {
	if c.guest {
		if string(filter) == provisionAnswer {
			return answered
		}
		return nil
	}
	if g := find(filter); g != nil {
		if g.form == formProto && !c.speaksProto() {
			return nil
		}
		return g
	}
	if c.dialect != nil && c.dialect.pushes != nil && c.dialect.pushes.filter == string(filter) {
		return c.dialect.pushes
	}
	return c.own(filter)
}

// maxOwn bounds the filters of a session that are none of the device API.
const maxOwn = 16

// own grants a filter outside of the device API: chains may speak to the device
// there. What is said to others is never heard by it, whatever the filter.
func (c *conn) own(filter []byte) *grant {
	text := string(filter)
	switch {
	case c.t.doors == nil, !mqttwire.ValidFilter(filter), mqttwire.IsShared(filter), len(text) > 512:
		return nil
	case strings.HasPrefix(text, "v1/"), strings.HasPrefix(text, "v2/"), strings.HasPrefix(text, "provision"), strings.ContainsAny(text[:1], "$+#"):
		return nil
	}
	c.say.mu.Lock()
	defer c.say.mu.Unlock()
	n := 0
	for _, s := range c.say.subs {
		if s.feed != feedOwn {
			continue
		}
		if s.filter == text {
			return s.grant
		}
		n++
	}
	if n >= maxOwn {
		return nil
	}
	return &grant{text, feedOwn, formLong}
}

// covers says whether a subscription to a topic of the device's own takes in a
// topic.
func (s subscription) covers(topic string) bool { return covers(s.filter, topic) }

// covers says whether a filter takes in a topic.
func covers(filter, rest string) bool {
	for {
		f, more, deeper := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, tail, longer := strings.Cut(rest, "/")
		if f != "+" && f != t {
			return false
		}
		if !deeper || !longer {
			return deeper == longer || deeper && more == "#"
		}
		filter, rest = more, tail
	}
}

// to is the latest subscription that takes in a topic of the device's own.
func (s subscriptions) to(topic string) (subscription, bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].feed == feedOwn && s[i].covers(topic) {
			return s[i], true
		}
	}
	return subscription{}, false
}
