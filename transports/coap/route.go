package coap

import (
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/internal/coapwire"
)

// feature is what a path names.
type feature int

const (
	nowhere    feature = iota // no path of ours
	unknown                   // below /api/v1, but no feature: 4.00
	telemetry                 // …/telemetry
	attributes                // …/attributes
	call                      // …/rpc
	answer                    // …/rpc/{id}
	claim                     // …/claim
	provision                 // /api/v1/provision
	packages                  // /fw, /sw; asking for bytes is answered before
	door                      // /in/…: one that a chain has opened
)

// route is where a request goes.
type route struct {
	to    feature
	token string
	shown bool   // a token
	call  int64  // of answer
	path  string // of door: what is behind /in/
}

var features = map[string]feature{"telemetry": telemetry, "attributes": attributes, "rpc": call, "claim": claim}

// routeOf reads a path. Over DTLS the token may be left out.
func routeOf(path []string, secure bool) route {
	switch {
	case len(path) > 0 && (path[0] == "fw" || path[0] == "sw"):
		return route{to: packages}
	case len(path) > 1 && path[0] == "in":
		return route{to: door, path: strings.Join(path[1:], "/")}
	case len(path) < 2 || path[0] != "api" || path[1] != "v1":
		return route{to: nowhere}
	}
	rest := path[2:]
	if len(rest) == 1 && rest[0] == "provision" {
		return route{to: provision}
	}
	var r route
	if _, plain := first(rest); !secure || !plain {
		if len(rest) == 0 {
			return route{to: unknown}
		}
		r.token, r.shown, rest = rest[0], true, rest[1:]
	}
	f, ok := first(rest)
	switch {
	case !ok, len(rest) > 2, len(rest) == 2 && f != call:
		r.to = unknown
	case len(rest) == 2:
		id, err := strconv.ParseInt(rest[1], 10, 32)
		if r.to, r.call = answer, id; err != nil || id < 0 {
			r.to = unknown
		}
	default:
		r.to = f
	}
	return r
}

func first(rest []string) (feature, bool) {
	if len(rest) == 0 {
		return unknown, false
	}
	f, ok := features[rest[0]]
	return f, ok
}

// pathOf are the segments of a message's path.
func pathOf(m *coapwire.Message) (path []string) {
	for _, o := range m.Options {
		if o.Num == coapwire.URIPath {
			path = append(path, string(o.Value))
		}
	}
	return path
}
