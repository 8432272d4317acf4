package nodes_test

import (
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestHTTPIn(t *testing.T) {
	const chain = `chain: asked
summary: Answers a path.
trigger: {node: http_in, with: {method: GET, path: "meters/{serial}", auth: none}, device: "${capture.serial}"}
steps:
  - {node: reply, with: {status: 202, json: {path: "${msg.path}", unit: "${msg.headers.unit ?? 'none'}", device: "${device.name}"}}}
`
	r := arrived(t, chain, ota.Message{Topic: "meters/dev-1"})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	same(t, "said", saidBy(r), []string{`body 202 {"device":"dev-1","path":"meters/dev-1","unit":"none"}`})
}

func TestHTTPInRefused(t *testing.T) {
	tests := []struct{ name, trigger, want string }{
		{"a signature without a key", `{node: http_in, with: {path: a, auth: hmac}}`, "auth is hmac, which needs a key"},
		{"a key that is not asked for", `{node: http_in, with: {path: a, auth: none, key: "0123456789abcdef"}}`, "key is given, and auth is none"},
		{"a key that is easily guessed", `{node: http_in, with: {path: a, key: short}}`, "fewer than 16 bytes"},
		{"no path", `{node: http_in, with: {auth: none}}`, "http_in needs the setting path"},
		{"a method that there is not", `{node: http_in, with: {path: a, method: FETCH, auth: none}}`, `method is "FETCH", want one of`},
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
