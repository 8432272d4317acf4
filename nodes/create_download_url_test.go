package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestCreateDownloadURL(t *testing.T) {
	chain := func(with string) string {
		return "chain: link\nsummary: Makes a link.\ntrigger: rpc_requested\nsteps:\n" +
			"  - {node: resolve_package, with: {kind: firmware}, to: {absent: no}}\n" +
			"  - {node: create_download_url, name: to" + with + "}\n" +
			"  - {node: reply, with: {body: \"${steps.to.url} ${steps.to.expires_at}\"}}\n" +
			"branches:\n  no: [{node: reply_error, with: {code: not_found}}]\n"
	}
	given := func(w *world) { w.assign(app12) }
	path := []string{"resolve_package found", "to created", "reply replied"}
	failed := []string{"resolve_package found", "to error"}
	ask := ota.Message{Event: ota.RPCRequested, Params: []byte(`{"for":"90s","long":"31d"}`)}
	facts(t, []fact{
		{"for an hour", given, chain(""), ask, path, []string{"body 200 https://ota/main/app-1.2 2026-11-23T10:00:00Z"}, "", nil},
		{"as the message says", given, chain(", with: {for: \"${msg.params.for}\"}"), ask, path, []string{"body 200 https://ota/main/app-1.2 2026-11-23T09:01:30Z"}, "", nil},
		{"for too long", given, chain(", with: {for: \"${msg.params.long}\"}"), ask, failed, nil, ota.Invalid, nil},
		{"the server has no address", func(w *world) {
			given(w)
			w.pkg(app12).ID = ""
		}, chain(""), ask, failed, nil, ota.Internal, nil},
		{"a URL", func(w *world) {
			given(w)
			w.pkg(app12).Blob, w.pkg(app12).URL = "", "https://example.com/app"
		}, chain(""), ask, path, []string{"body 200 https://example.com/app 2026-11-23T10:00:00Z"}, "", nil},
	})
}
