package nodes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestCoAPRequest(t *testing.T) {
	const chain = `chain: asks
summary: Asks the device.
trigger: connected
steps:
  - node: coap_request
    with: {path: "/valve/${device.name}?fast=1", method: PUT, body: open}
    to: {refused: no}
  - {node: reply, with: {json: {code: "${steps.coap_request.code}"}}}
branches:
  no: [{node: reply, name: bad, with: {json: "${steps.coap_request.code}"}}]
`
	tests := []struct {
		name   string
		status int
		said   []string
		code   ota.Code
	}{
		{"done", 204, []string{`body 200 {"code":"2.04"}`}, ""},
		{"refused", 404, []string{`body 200 "4.04"`}, ""},
		{"away", 503, nil, ota.Busy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &peer{status: tt.status, body: "x"}
			w := newWorld()
			c := loadWith(t, chain, engine.Deps{Devices: p})
			r := c.Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device, Transport: "coap"}, w.homes[ota.RefOf(tenant, device)].Clone(), w, start)
			same(t, "code", ota.CodeOf(r.Err), tt.code)
			same(t, "said", saidBy(r), tt.said)
			got := p.calls[0]
			same(t, "call", got.Method+" "+got.URL+" "+string(got.Body), "PUT valve/dev-1?fast=1 open")
			same(t, "device", got.Device, ota.RefOf(tenant, device))
		})
	}
	w := newWorld()
	r := load(t, chain, w).Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device}, w.homes[ota.RefOf(tenant, device)].Clone(), w, start)
	same(t, "nobody can be asked", ota.CodeOf(r.Err), ota.Busy)
}

func TestCoAPRequestRefused(t *testing.T) {
	for with, want := range map[string]string{
		`{}`:                       "coap_request needs the setting path",
		`{path: x, method: FETCH}`: `method is "FETCH"`,
	} {
		text := faultsOf(t, "chain: x\nsummary: X.\ntrigger: connected\nsteps: [{node: coap_request, with: "+with+", to: {refused: end}}]\n")
		if !strings.Contains(text, want) {
			t.Errorf("%s: faults are\n%s\nwant %q", with, text, want)
		}
	}
}
