package nodes

import (
	"errors"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// HTTPInConfig is the "with" of a http_in trigger.
type HTTPInConfig struct {
	Method string      `yaml:"method"`
	Path   string      `yaml:"path"`
	Auth   string      `yaml:"auth"`
	Key    engine.Text `yaml:"key"`
}

// The ways to prove who asks.
const (
	authToken = "token"
	authHMAC  = "hmac"
	authNone  = "none"
)

// minKey is how long a key must be, in bytes, to be no guess.
const minKey = 16

// Validate refuses a path that is none, and a door without a lock that was not
// asked for.
func (c HTTPInConfig) Validate() error {
	_, err := pattern("path", c.Path)
	switch {
	case c.Auth == authNone && c.Key.Given():
		err = errors.Join(err, &engine.FieldError{Key: "key", Err: errors.New("is given, and auth is none")})
	case c.Auth == authHMAC && !c.Key.Given():
		err = errors.Join(err, &engine.FieldError{Key: "auth", Err: errors.New("is hmac, which needs a key")})
	}
	return err
}

// HTTPIn defines http_in, by which a chain answers a path of the HTTP door.
func HTTPIn() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "http_in",
		Summary: "Answers requests to a path of the HTTP door.",
		Doc: "The path lies below `/in`. `token`: the request has the header `Authorization: Bearer KEY`; where no key is given it is the access token of a device, and `device` is that device. `hmac`: it has `X-Windlass-Timestamp`, seconds since 1970 and not more than five minutes off, " +
			"and `X-Windlass-Signature`, `sha256=` and the HMAC-SHA256 in hexadecimal digits of the timestamp, a dot and the body, made with the key.\n\n" +
			"It is answered after the commit, by what the chain replies, else with 204; a failure has the status of its code. " +
			"`capture.NAME` is what a level of the path holds, `msg.path` all of it, `msg.json`, `msg.text` and `msg.body` the body, `msg.headers` the headers, their names in small letters.",
		Fields: []engine.Field{
			{Key: "method", Doc: "The method.", Enum: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}},
			{Key: "path", Doc: "What stands behind /in: {name} captures one level, {name...} all behind it.", Required: true},
			{Key: "auth", Doc: "How whoever asks proves that he may.", Enum: []string{authToken, authHMAC, authNone}},
			{Key: "key", Doc: "The token, or the key of the HMAC: 16 bytes at least.", Secret: true},
		},
		Source: true,
		Example: `chain: example
summary: Takes readings of meters in a form of their own.
trigger: {node: http_in, with: {path: readings}, fields: {level: number}}
steps:
  - {node: save_telemetry, with: {values: {level: "${msg.json.level}"}}}
`,
	}, HTTPInConfig{Method: "POST", Auth: authToken}, func(c HTTPInConfig) (engine.Node, error) {
		p, err := pattern("path", c.Path)
		return &httpIn{source{p}, c}, err
	})
}

type httpIn struct {
	source
	HTTPInConfig
}

func (n *httpIn) Door(r *engine.Run) (ota.Inlet, error) {
	key, err := n.Key.Get(r)
	if err == nil && n.Key.Given() && len(key) < minKey {
		err = errors.New("the key has fewer than 16 bytes")
	}
	return ota.Inlet{Method: n.Method, Auth: n.Auth, Key: key, Pattern: n.pattern}, err
}
