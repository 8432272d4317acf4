package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestCheckRequest(t *testing.T) {
	given := func(w *world) { w.assign(app12) }
	named := func(title, version string) ota.Message {
		return ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware, Want: ota.Version{Title: title, Version: version}}
	}
	matched := []string{"resolve_package found", "check_request matched", "check_compatibility compatible", "send_chunk sent"}
	wrong := []string{"resolve_package found", "check_request mismatched", "wrong.reply_error"}
	bytes, refused := []string{"chunk app@1.2 0+10"}, []string{"error invalid another package is assigned"}
	facts(t, []fact{
		{"the package's", given, "download", named("app", "1.2"), matched, bytes, "", nil},
		{"neither is named", given, "download", named("", ""), matched, bytes, "", nil},
		{"another version", given, "download", named("app", "1.20"), wrong, refused, "", nil},
		{"another title", given, "download", named("App", "1.2"), wrong, refused, "", nil},
		{"the title alone", given, "download", named("app", ""), wrong, refused, "", nil},
	})
}
