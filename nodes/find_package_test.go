package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestFindPackage(t *testing.T) {
	chain := func(with string) string {
		return "chain: look\nsummary: Looks for a package.\ntrigger: rpc_requested\nsteps:\n" +
			"  - {node: find_package, name: p, with: {title: app, kind: firmware" + with + "}, to: {absent: no}}\n" +
			"  - {node: reply, with: {body: \"${package.title} ${package.version}\"}}\n" +
			"branches:\n  no: [{node: reply_error, with: {code: not_found}}]\n"
	}
	given := func(w *world) {
		for _, v := range []string{"1.9", "1.10", "2.0-rc.1", "3.0"} {
			w.put(ota.Home{Package: &ota.Package{ID: ota.PackageID("app-" + v), Tenant: tenant, Profile: profile, Kind: ota.Firmware, Version: ota.Version{Title: "app", Version: v}, Ready: true, Blob: "b"}})
		}
		w.pkg("app-3.0").Profile = "profile-valve"
		w.put(ota.Home{Profile: &ota.Profile{ID: "profile-valve", Tenant: tenant, Name: "valve"}})
		w.put(ota.Home{Package: &ota.Package{ID: "app@-9", Tenant: tenant, Profile: profile, Kind: ota.Firmware, Version: ota.Version{Title: "app@", Version: "9"}, Ready: true}})
	}
	ask := ota.Message{Event: ota.RPCRequested, Params: []byte(`{"range":"=>1"}`)}
	found, absent := []string{"p found", "reply replied"}, []string{"p absent", "no.reply_error"}
	nothing := []string{"error not_found"}
	facts(t, []fact{
		{"the newest for the device's profile", given, chain(""), ask, found, []string{"body 200 app 2.0-rc.1"}, "", nil},
		{"within a range", given, chain(", range: 1.x"), ask, found, []string{"body 200 app 1.10"}, "", nil},
		{"for another profile", given, chain(", profile: valve"), ask, found, []string{"body 200 app 3.0"}, "", nil},
		{"for a profile that does not exist", given, chain(", profile: lamp"), ask, absent, nothing, "", nil},
		{"in quarantine", func(w *world) {
			given(w)
			w.pkg("app-1.10").Quarantine = "bricks pumps"
		}, chain(", range: 1.x"), ask, found, []string{"body 200 app 1.9"}, "", nil},
		{"still being checked", func(w *world) {
			given(w)
			w.pkg("app-1.10").Ready = false
		}, chain(", range: 1.x"), ask, found, []string{"body 200 app 1.9"}, "", nil},
		{"none in the range", given, chain(", range: \">3\""), ask, absent, nothing, "", nil},
		{"no range", given, chain(", range: \"${text(msg.params.range, '')}\""), ask, []string{"p error"}, nil, ota.Invalid, nil},
	})
}
