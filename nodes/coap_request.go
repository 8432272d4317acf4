package nodes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CoAPRequestConfig is the "with" of a coap_request step.
type CoAPRequestConfig struct {
	Path   engine.Text `yaml:"path"`
	Method engine.Text `yaml:"method"`
	Body   engine.Data `yaml:"body"`
}

// CoAPRequest defines coap_request, which asks the run's device.
func CoAPRequest(d engine.Caller) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "coap_request",
		Summary: "Asks the device over CoAP, as a server that it is.",
		Doc: "The device is asked where it last spoke to us over CoAP, with or without DTLS; bodies may be in blocks. It is asked before the commit, and perhaps again where the run is tried again. " +
			"No answer, 5.xx, and a device that is not there (it has said nothing for some minutes and observes nothing, or speaks to another process) are an error `busy`: give the step a `retry`.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{
			{Name: "ok", Doc: "the code is 2.xx"},
			{Name: "refused", Doc: "the code is 4.xx"},
		},
		Fields: []engine.Field{
			{Key: "path", Doc: "Where at the device: `sensors/temp?unit=c`.", Required: true},
			{Key: "method", Doc: "The method.", Enum: []string{"GET", "POST", "PUT", "DELETE"}},
			{Key: "body", Doc: "Text or bytes, as they are. Left out: none."},
		},
		Outputs: []engine.Output{
			{Name: "code", Type: engine.TextType, Doc: "the code, such as 2.05"},
			{Name: "body", Type: engine.BytesType, Doc: "the answer"},
		},
		Example: `chain: example
summary: Reads the level of a tank when its device has updated.
trigger: {event: update_finished, if: msg.state == "UPDATED"}
steps:
  - node: coap_request
    with: {path: level}
    retry: {attempts: 3, backoff: 2s}
    to: {refused: end}
  - {node: log, with: {message: "the level is ${steps.coap_request.code}"}}
`,
	}, CoAPRequestConfig{Method: engine.Lit("GET")}, func(cfg CoAPRequestConfig) (engine.Node, error) {
		return &coapRequest{cfg, d}, nil
	})
}

type coapRequest struct {
	CoAPRequestConfig
	devices engine.Caller
}

func (n *coapRequest) Process(ctx context.Context, r *engine.Run) (string, error) {
	const op = "coap request"
	var c ota.Call
	var err error
	if c.Method, err = word(r, "method", n.Method, "GET", "POST", "PUT", "DELETE"); err != nil {
		return "", err
	}
	if c.URL, err = n.Path.Get(r); err != nil {
		return "", err
	}
	if c.URL = strings.TrimPrefix(c.URL, "/"); c.URL == "" {
		return "", ota.Errorf(ota.Invalid, op, "the path is empty")
	}
	if c.Body, err = said(r, op, n.Body, engine.Data{}); err != nil {
		return "", err
	}
	if len(c.Body) > maxCallBody {
		return "", ota.Errorf(ota.Invalid, op, "the body has %d bytes, %d at most", len(c.Body), maxCallBody)
	}
	if n.devices == nil {
		return "", ota.Errorf(ota.Busy, op, "no device can be asked from here")
	}
	c.Device = ota.RefOf(r.Msg.Tenant, r.Msg.Device)
	sum := sha256.Sum256([]byte(c.Method + " " + c.URL + " " + string(c.Body)))
	got, err := engine.Called(ctx, r, hex.EncodeToString(sum[:8]), func() (ota.Called, error) {
		got, err := n.devices.Call(ctx, c)
		if s := got.Status; err == nil && (s < 200 || s > 299 && s < 400 || s > 499) {
			err = ota.Errorf(ota.Busy, op, "the answer is %s", codeText(s))
		}
		return got, err
	})
	if err != nil {
		return "", err
	}
	r.Set("code", codeText(got.Status))
	r.Set("body", got.Body)
	if got.Status >= 400 {
		return "refused", nil
	}
	return "ok", nil
}

// codeText is a code as people write it: 2.05 for 205.
func codeText(status int) string {
	s := strconv.Itoa(status)
	if len(s) != 3 {
		return s
	}
	return s[:1] + "." + s[1:]
}
