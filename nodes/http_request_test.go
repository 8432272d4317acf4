package nodes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// peer answers calls, and keeps them.
type peer struct {
	calls  []ota.Call
	status int
	body   string
}

func (p *peer) Call(_ context.Context, c ota.Call) (ota.Called, error) {
	p.calls = append(p.calls, c)
	return ota.Called{Status: p.status, Body: []byte(p.body)}, nil
}

func TestHTTPRequest(t *testing.T) {
	const chain = `chain: asks
summary: Asks another server.
trigger: connected
steps:
  - node: http_request
    with: {url: "https://example.com/${device.name}", method: PUT, headers: {X-A: b}, json: {by: "${msg.transport}"}, sign_key: "0123456789abcdef"}
    to: {refused: no}
  - {node: reply, with: {json: {status: "${steps.http_request.status}", json: "${steps.http_request.json}", text: "${steps.http_request.text}"}}}
branches:
  no: [{node: reply, name: bad, with: {status: "${steps.http_request.status}"}}]
`
	tests := []struct {
		name   string
		status int
		body   string
		said   []string
		code   ota.Code
	}{
		{"JSON", 201, `{"a":1}`, []string{`body 200 {"json":{"a":1},"status":201,"text":"{\"a\":1}"}`}, ""},
		{"text", 200, "fine", []string{`body 200 {"json":null,"status":200,"text":"fine"}`}, ""},
		{"refused", 409, "", []string{"body 409 "}, ""},
		{"away", 502, "", nil, ota.Busy},
		{"elsewhere", 302, "", nil, ota.Busy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &peer{status: tt.status, body: tt.body}
			w := newWorld()
			c := loadWith(t, chain, engine.Deps{Calls: p})
			r := c.Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device, Transport: "mqtt"}, w.homes[ota.RefOf(tenant, device)].Clone(), w, start)
			same(t, "code", ota.CodeOf(r.Err), tt.code)
			same(t, "said", saidBy(r), tt.said)
			got := p.calls[0]
			same(t, "call", got.Method+" "+got.URL+" "+string(got.Body)+" "+got.Headers["X-A"], `PUT https://example.com/dev-1 {"by":"mqtt"} b`)
			if !strings.HasPrefix(got.Headers["X-Windlass-Signature"], "sha256=") || got.Headers["Idempotency-Key"] == "" || got.Headers["X-Windlass-Timestamp"] != "1795424400" {
				t.Errorf("headers are %v", got.Headers)
			}
		})
	}
}

func TestHTTPRequestRefused(t *testing.T) {
	for with, want := range map[string]string{
		`{url: "ftp://x"}`:                          "url begins with neither",
		`{url: "https://x", body: a, json: b}`:      "json is given beside body",
		`{url: "https://x", method: FETCH}`:         `method is "FETCH"`,
		`{url: "https://x", body: "${secret.key}"}`: "may stand in settings that are marked secret alone",
	} {
		text := faultsOf(t, "chain: x\nsummary: X.\ntrigger: connected\nsteps: [{node: http_request, with: "+with+", to: {refused: end}}]\n")
		if !strings.Contains(text, want) {
			t.Errorf("%s: faults are\n%s\nwant %q", with, text, want)
		}
	}
}
