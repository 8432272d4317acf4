package mqtt

import (
	"bytes"
	"math"
	"strconv"

	"github.com/windlass-ota/windlass/ota"
)

// form is how a device spells its topics: ThingsBoard's device API has a long
// form and a short one, the latter with or without the payload's format in it.
// What is said in a form is answered in it.
type form byte

const (
	formLong      form = iota // v1/devices/me/…
	formShort                 // v2/…
	formShortJSON             // v2/…/j
	formProto                 // v2/…/p
	formOwn                   // a topic of its profile's own
	forms
)

// verb is what a publish topic asks for.
type verb byte

const (
	verbUnknown verb = iota
	verbTelemetry
	verbAttributes
	verbAttributesRequest
	verbRPCRequest  // a device calls the server
	verbRPCResponse // a device answers the server
	verbChunk
	verbClaim
)

// target is a publish topic, understood.
type target struct {
	verb  verb
	form  form
	id    int32 // the device's request number
	chunk int32
	kind  ota.Kind
	bad   bool // a number in the topic does not fit: ThingsBoard closes the connection
}

// plain are the publish topics without a number in them.
var plain = map[string]target{
	"v1/devices/me/telemetry":  {verb: verbTelemetry, form: formLong},
	"v2/t/p":                   {verb: verbTelemetry, form: formProto},
	"v2/a/p":                   {verb: verbAttributes, form: formProto},
	"v1/devices/me/claim":      {verb: verbClaim, form: formLong},
	"v2/t":                     {verb: verbTelemetry, form: formShort},
	"v2/t/j":                   {verb: verbTelemetry, form: formShortJSON},
	"v1/devices/me/attributes": {verb: verbAttributes, form: formLong},
	"v2/a":                     {verb: verbAttributes, form: formShort},
	"v2/a/j":                   {verb: verbAttributes, form: formShortJSON},
}

// numbered are the publish topics that end in a request number. A longer prefix
// stands before the one that it begins with.
var numbered = []struct {
	prefix []byte
	target
}{
	{[]byte("v1/devices/me/attributes/request/"), target{verb: verbAttributesRequest, form: formLong}},
	{[]byte("v1/devices/me/rpc/request/"), target{verb: verbRPCRequest, form: formLong}},
	{[]byte("v1/devices/me/rpc/response/"), target{verb: verbRPCResponse, form: formLong}},
	{[]byte("v2/a/req/p/"), target{verb: verbAttributesRequest, form: formProto}},
	{[]byte("v2/a/req/j/"), target{verb: verbAttributesRequest, form: formShortJSON}},
	{[]byte("v2/a/req/"), target{verb: verbAttributesRequest, form: formShort}},
	{[]byte("v2/r/req/j/"), target{verb: verbRPCRequest, form: formShortJSON}},
	{[]byte("v2/r/req/"), target{verb: verbRPCRequest, form: formShort}},
	{[]byte("v2/r/res/j/"), target{verb: verbRPCResponse, form: formShortJSON}},
	{[]byte("v2/r/res/"), target{verb: verbRPCResponse, form: formShort}},
}

// parseTopic understands a publish topic (ThingsBoard MQTT device API).
func parseTopic(topic []byte) target {
	if t, ok := plain[string(topic)]; ok {
		return t
	}
	if t, ok := parseChunkTopic(topic); ok {
		return t
	}
	for i := range numbered {
		rest, ok := bytes.CutPrefix(topic, numbered[i].prefix)
		if !ok {
			continue
		}
		t := numbered[i].target
		n, digits, fits := number(rest)
		if digits == 0 || digits != len(rest) {
			return target{}
		}
		t.id, t.bad = n, !fits
		return t
	}
	return target{}
}

// parseChunkTopic finds v2/fw/request/{id}/chunk/{n}, or the same of sw. Like
// ThingsBoard it finds it anywhere in the topic.
func parseChunkTopic(topic []byte) (t target, ok bool) {
	const request = "/request/"
	at := bytes.Index(topic, []byte(request))
	if at < 5 {
		return target{}, false
	}
	switch string(topic[at-5 : at]) {
	case "v2/fw":
		t.kind = ota.Firmware
	case "v2/sw":
		t.kind = ota.Software
	default:
		return target{}, false
	}
	rest := topic[at+len(request):]
	id, digits, idFits := number(rest)
	rest, ok = bytes.CutPrefix(rest[digits:], []byte("/chunk/"))
	if !ok || digits == 0 {
		return target{}, false
	}
	chunk, digits, chunkFits := number(rest)
	if digits == 0 {
		return target{}, false
	}
	t.verb, t.id, t.chunk, t.bad = verbChunk, id, chunk, !idFits || !chunkFits
	return t, true
}

// number reads the decimal digits that b begins with. fits says whether they
// are a number of 31 bits, which is what ThingsBoard's clients count with.
func number(b []byte) (n int32, digits int, fits bool) {
	var sum int64
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		if sum = sum*10 + int64(b[digits]-'0'); sum > math.MaxInt32 {
			sum = math.MaxInt32 + 1 // stays too large, cannot overflow
		}
		digits++
	}
	return int32(min(sum, math.MaxInt32)), digits, sum <= math.MaxInt32
}

// Where replies go, by the form of the request, and pushes, by that of the
// subscription.
var (
	attributesResponse = [forms]string{"v1/devices/me/attributes/response/", "v2/a/res/", "v2/a/res/j/", "v2/a/res/p/"}
	attributesPush     = [forms]string{"v1/devices/me/attributes", "v2/a", "v2/a/j", "v2/a/p"}
	rpcRequest         = [forms]string{"v1/devices/me/rpc/request/", "v2/r/req/", "v2/r/req/j/"}
	rpcResponse        = [forms]string{"v1/devices/me/rpc/response/", "v2/r/res/", "v2/r/res/j/"}
)

// errorTopic is where failed chunk requests are told, for software too:
// ThingsBoard never publishes on v2/sw/error.
const errorTopic = "v2/fw/error"

func appendNumbered(dst []byte, prefix string, id int32) []byte {
	return strconv.AppendInt(append(dst, prefix...), int64(id), 10)
}

func appendChunkTopic(dst []byte, t target) []byte {
	prefix := "v2/fw/response/"
	if t.kind == ota.Software {
		prefix = "v2/sw/response/"
	}
	dst = append(appendNumbered(dst, prefix, t.id), "/chunk/"...)
	return strconv.AppendInt(dst, int64(t.chunk), 10)
}
