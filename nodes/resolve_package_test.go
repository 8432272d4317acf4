package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestResolvePackage(t *testing.T) {
	ask := ota.Message{Event: ota.RPCRequested}
	found := []string{"resolve_package found", "reply replied"}
	absent := []string{"resolve_package absent", "nothing.reply_error"}
	facts(t, []fact{
		{"nothing is assigned", nil, "assigned_by", ask, absent, []string{"error not_found"}, "", nil},
		{"the profile's", func(w *world) { w.assign(app12) }, "assigned_by", ask, found, []string{"body 200 app 1.2 by profile"}, "", nil},
		{"the device's own wins", func(w *world) {
			w.assign(app12)
			w.firmware().Assigned = &ota.Assignment{Package: app11}
		}, "assigned_by", ask, found, []string{"body 200 app 1.1 by device"}, "", nil},
		{"the other kind's does not count", func(w *world) { w.assign(tool10) }, "assigned_by", ask, absent, []string{"error not_found"}, "", nil},
		{"the package is gone", func(w *world) {
			w.assign(app12)
			delete(w.homes, ref(ota.PackageRef, string(app12)))
		}, "assigned_by", ask, absent, []string{"error not_found"}, "", nil},
	})
}

func TestResolvePackageForDownload(t *testing.T) {
	ask := ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware}
	bound := ask
	bound.Bound = app11
	served := []string{"resolve_package found", "check_request matched", "check_compatibility compatible", "send_chunk sent"}
	absent := []string{"resolve_package absent", "nothing.reply_error"}
	of := func(version string) []string { return []string{"chunk app@" + version + " 0+10"} }
	permits := func(w *world) {
		w.assign(app12)
		w.rollout().Permits = true
	}
	facts(t, []fact{
		{"nothing", nil, "download", ask, absent, []string{"error not_found"}, "", nil},
		{"in force, not yet offered", func(w *world) { w.assign(app12) }, "download", ask, served, of("1.2"), "", nil},
		{"in force, behind a door", permits, "download", ask, absent, []string{"error not_found"}, "", nil},
		{"behind a door, another was offered before", func(w *world) {
			permits(w)
			w.firmware().Offer.Package = app11
		}, "download", ask, served, of("1.1"), "", nil},
		{"behind a door, and offered before it had ended", func(w *world) {
			permits(w)
			w.offer(app12)
			w.firmware().Fail("broken", false, start)
		}, "download", ask, served, of("1.2"), "", nil},
		{"on offer, while another is in force already", func(w *world) {
			w.offer(app11)
			w.assign(app12)
		}, "download", ask, served, of("1.1"), "", nil},
		{"offered, and queued again", func(w *world) {
			w.offer(app11)
			w.firmware().Retry(3, 0, true, start)
			w.assign(app12)
		}, "download", ask, served, of("1.1"), "", nil},
		{"queued after another was offered", func(w *world) {
			w.offer(app11)
			w.assign(app12)
			w.queue(app12)
		}, "download", ask, served, of("1.2"), "", nil},
		{"the session is bound", func(w *world) { w.assign(app12) }, "download", bound, served, of("1.1"), "", nil},
		{"what it is bound to is gone", func(w *world) {
			w.assign(app12)
			delete(w.homes, ref(ota.PackageRef, string(app11)))
		}, "download", bound, served, of("1.2"), "", nil},
		{"it is bound to the other kind", func(w *world) {
			w.assign(app12)
			w.pkg(app11).Kind = ota.Software
		}, "download", bound, served, of("1.2"), "", nil},
		{"its own assignment has no door", func(w *world) {
			w.firmware().Assigned = &ota.Assignment{Package: app11}
		}, "download", ask, served, of("1.1"), "", nil},
	})
}
