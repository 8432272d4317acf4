package nodes

import (
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CoAPInConfig is the "with" of a coap_in trigger.
type CoAPInConfig struct {
	Method string `yaml:"method"`
	Path   string `yaml:"path"`
	Auth   string `yaml:"auth"`
}

// Validate refuses a path that is none.
func (c CoAPInConfig) Validate() error {
	_, err := pattern("path", c.Path)
	return err
}

// CoAPIn defines coap_in, by which a chain answers a path of the CoAP door.
func CoAPIn() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "coap_in",
		Summary: "Answers requests to a path of the CoAP door.",
		Doc: "The path lies below `/in`. A device proves who it is by the handshake of DTLS, or by its access token as a part of the query, `token=…`; a wrong token is refused. With `auth: token` there must be such a proof, and `device` is that device. " +
			"With `none` whoever reaches the port may ask: what then names the device is believed, save where a proof says another.\n\n" +
			"It is answered after the commit, by what the chain replies, else with 2.04; a failure has the code of its kind. Bodies may come in blocks. " +
			"`capture.NAME` is what a level of the path holds, `msg.path` all of it, `msg.json`, `msg.text` and `msg.body` the body, `msg.headers` the parts of the query, their names in small letters.",
		Fields: []engine.Field{
			{Key: "method", Doc: "The method.", Enum: []string{"GET", "POST", "PUT", "DELETE"}},
			{Key: "path", Doc: "What stands behind /in: {name} captures one level, {name...} all behind it.", Required: true},
			{Key: "auth", Doc: "Whether whoever asks must prove which device he is.", Enum: []string{authToken, authNone}},
		},
		Source: true,
		Example: `chain: example
summary: Takes readings of meters that speak CoAP in a form of their own.
trigger: {node: coap_in, with: {path: "meters/{serial}"}, device: "${capture.serial}", fields: {level: number}}
steps:
  - {node: save_telemetry, with: {values: {level: "${msg.json.level}"}}}
`,
	}, CoAPInConfig{Method: "POST", Auth: authNone}, func(c CoAPInConfig) (engine.Node, error) {
		p, err := pattern("path", c.Path)
		return &coapIn{source{p}, c}, err
	})
}

type coapIn struct {
	source
	CoAPInConfig
}

func (n *coapIn) Door(*engine.Run) (ota.Inlet, error) {
	return ota.Inlet{Method: n.Method, Auth: n.Auth, Pattern: n.pattern}, nil
}
