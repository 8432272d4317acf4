package nodes

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// HTTPRequestConfig is the "with" of a http_request step.
type HTTPRequestConfig struct {
	URL     engine.Text `yaml:"url"`
	Method  engine.Text `yaml:"method"`
	Headers engine.Map  `yaml:"headers"`
	Body    engine.Data `yaml:"body"`
	JSON    engine.Data `yaml:"json"`
	SignKey engine.Text `yaml:"sign_key"`
}

// Validate refuses a body in two forms and a URL that is none.
func (c HTTPRequestConfig) Validate() error {
	if c.Body.Given() && c.JSON.Given() {
		return &engine.FieldError{Key: "json", Err: errors.New("is given beside body; choose one")}
	}
	if u, ok := c.URL.Literal(); ok && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
		return &engine.FieldError{Key: "url", Err: errors.New("begins with neither http:// nor https://")}
	}
	return nil
}

// maxCallBody bounds what is sent, in bytes.
const maxCallBody = 1 << 20

// HTTPRequest defines http_request, which asks a server of somebody else.
func HTTPRequest(c engine.Caller) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "http_request",
		Summary: "Asks another server over HTTP.",
		Doc: "It is asked before the commit, and perhaps again where the run is tried again: each time with the same `Idempotency-Key`. Where somebody else was only faster to write, the answer is kept and nothing is asked twice. " +
			"An answer that is neither 2xx nor 4xx, and none at all, is an error `busy`: give the step a `retry`.\n\n" +
			"Only public addresses are called, and those that an operator allows by `calls.allow`; redirects are not followed. With `sign_key` the request has `X-Windlass-Timestamp` and " +
			"`X-Windlass-Signature`, in the form that http_in asks for with `auth: hmac`.",
		Outlets: []engine.Outlet{
			{Name: "ok", Doc: "the status is 2xx"},
			{Name: "refused", Doc: "the status is 4xx"},
		},
		Fields: []engine.Field{
			{Key: "url", Doc: "Where.", Required: true, Secret: true},
			{Key: "method", Doc: "The method.", Enum: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}},
			{Key: "headers", Doc: "Headers by name.", Secret: true},
			{Key: "body", Doc: "Text or bytes, as they are."},
			{Key: "json", Doc: "Anything, sent as JSON. With neither, the body is empty."},
			{Key: "sign_key", Doc: "The key with which the request is signed.", Secret: true},
		},
		Outputs: []engine.Output{
			{Name: "status", Type: engine.IntType, Doc: "the status"},
			{Name: "json", Type: engine.AnyType, Doc: "the answer, where it is JSON"},
			{Name: "text", Type: engine.TextType, Doc: "the answer as text"},
		},
		Example: `chain: example
summary: Tells another system which updates are over.
trigger: update_finished
steps:
  - node: http_request
    with: {url: "https://hooks.example.com/updates", json: {device: "${device.name}", state: "${msg.state}"}}
    retry: {attempts: 5, backoff: 2s}
    to: {refused: end}
`,
	}, HTTPRequestConfig{Method: engine.Lit(http.MethodPost)}, func(cfg HTTPRequestConfig) (engine.Node, error) { return &httpRequest{cfg, c}, nil })
}

type httpRequest struct {
	HTTPRequestConfig
	caller engine.Caller
}

func (n *httpRequest) Process(ctx context.Context, r *engine.Run) (string, error) {
	const op = "http request"
	c, key, err := n.call(r)
	if err != nil {
		return "", err
	}
	if n.caller == nil {
		return "", ota.Errorf(ota.Busy, op, "nobody can be called from here")
	}
	got, err := engine.Called(ctx, r, key, func() (ota.Called, error) {
		c.Headers["Idempotency-Key"] = r.Key(r.Step()) + ":" + key
		n.sign(&c, r)
		got, err := n.caller.Call(ctx, c)
		if s := got.Status; err == nil && (s < 200 || s > 299 && s < 400 || s > 499) {
			err = ota.Errorf(ota.Busy, op, "the answer has the status %d", s)
		}
		return got, err
	})
	if err != nil {
		return "", err
	}
	r.Set("status", got.Status)
	r.Set("text", strings.ToValidUTF8(string(got.Body), "\uFFFD"))
	var v any
	if json.Unmarshal(got.Body, &v) != nil {
		v = nil
	}
	r.Set("json", v)
	if got.Status >= 400 {
		return "refused", nil
	}
	return "ok", nil
}

// call is the request, and a key that another one of the same step has not.
func (n *httpRequest) call(r *engine.Run) (c ota.Call, key string, err error) {
	const op = "http request"
	if c.Method, err = word(r, "method", n.Method, "GET", "POST", "PUT", "PATCH", "DELETE"); err != nil {
		return c, "", err
	}
	if c.URL, err = n.URL.Get(r); err != nil {
		return c, "", err
	}
	headers, err := n.Headers.Get(r)
	if err != nil {
		return c, "", err
	}
	c.Headers = map[string]string{}
	maps.Copy(c.Headers, headers)
	if c.Body, err = said(r, op, n.Body, n.JSON); err != nil {
		return c, "", err
	}
	if len(c.Body) > maxCallBody {
		return c, "", ota.Errorf(ota.Invalid, op, "the body has %d bytes, %d at most", len(c.Body), maxCallBody)
	}
	if _, ok := c.Headers["Content-Type"]; !ok && n.JSON.Given() {
		c.Headers["Content-Type"] = "application/json"
	}
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(c.Method), []byte(c.URL), c.Body} {
		_, _ = sum.Write(append(strconv.AppendInt(nil, int64(len(part)), 10), ':'))
		_, _ = sum.Write(part)
	}
	return c, hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// sign proves to the other server that it is we who ask.
func (n *httpRequest) sign(c *ota.Call, r *engine.Run) {
	if !n.SignKey.Given() {
		return
	}
	key, err := n.SignKey.Get(r)
	if err != nil { // secrets cannot fail
		return
	}
	stamp := strconv.FormatInt(r.Now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte(stamp + "."))
	_, _ = mac.Write(c.Body)
	c.Headers["X-Windlass-Timestamp"] = stamp
	c.Headers["X-Windlass-Signature"] = "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
