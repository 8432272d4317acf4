package nodes_test

import (
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestCoAPIn(t *testing.T) {
	const chain = `chain: asked
summary: Answers a path.
trigger: {node: coap_in, with: {method: GET, path: "meters/{serial}"}, device: "${capture.serial}"}
steps:
  - {node: reply, with: {json: {path: "${msg.path}", unit: "${msg.headers.unit ?? 'none'}", device: "${device.name}"}}}
`
	r := arrived(t, chain, ota.Message{Topic: "meters/dev-1"})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	same(t, "said", saidBy(r), []string{`body 200 {"device":"dev-1","path":"meters/dev-1","unit":"none"}`})
}

func TestCoAPInRefused(t *testing.T) {
	tests := []struct{ name, trigger, want string }{
		{"no path", `{node: coap_in}`, "coap_in needs the setting path"},
		{"a path that is none", `{node: coap_in, with: {path: "a/{b...}/c"}}`, "path"},
		{"a method that there is not", `{node: coap_in, with: {path: a, method: FETCH}}`, `method is "FETCH", want one of`},
		{"a proof that there is not", `{node: coap_in, with: {path: a, auth: hmac}}`, `auth is "hmac", want one of`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := faultsOf(t, "chain: x\nsummary: X.\ntrigger: "+tt.trigger+"\nsteps: [{node: log, with: {message: x}}]\n")
			if !strings.Contains(text, tt.want) {
				t.Errorf("faults are\n%s\nwant %q", text, tt.want)
			}
		})
	}
}
