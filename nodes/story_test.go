package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// The stories tell what the shipped chains do from end to end.

var pump = ref(ota.ProfileRef, string(profile))

const offer11 = `offer {"fw_title":"app","fw_version":"1.1","fw_size":10,"fw_checksum_algorithm":"CRC32","fw_checksum":"43beb7e8"}`

func TestADeviceUpdates(t *testing.T) {
	h := newHouse(t, "d1")
	h.connect("d1")
	h.assign(pump, app12)
	same(t, "pushed", h.heard(), []string{"d1: " + offer12})
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 INITIATED"})

	same(t, "attributes", h.handle("d1", ota.Message{Event: ota.AttributesRequested, SharedKeys: []string{"fw_version", "fw_title"}}),
		[]string{`attributes shared {"fw_title":"app","fw_version":"1.2"}`})
	same(t, "chunk", h.handle("d1", ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware, Size: 8, Chunk: 1}), []string{"chunk app@1.2 8+2"})
	h.report("d1",
		`{"current_fw_title":"app","current_fw_version":"1.0"}`,
		`{"fw_state":"DOWNLOADING"}`, `{"fw_state":"DOWNLOADED"}`, `{"fw_state":"VERIFIED"}`, `{"fw_state":"UPDATING"}`,
		`{"current_fw_title":"app","current_fw_version":"1.2","fw_state":"UPDATED"}`,
		`{"current_fw_title":"app","current_fw_version":"1.2","fw_state":"UPDATED"}`)
	same(t, "moved", moved(h.track("d1").Update), "QUEUED INITIATED DOWNLOADING DOWNLOADED VERIFIED UPDATING UPDATED")

	// The attributes stay, and a reconnect says nothing.
	h.disconnect("d1")
	h.connect("d1")
	same(t, "pushed", h.heard(), nil)
	same(t, "on offer", h.track("d1").Offer.Package, app12)
}

func TestTheNearerAssignmentWins(t *testing.T) {
	h := newHouse(t, "d1", "d2")
	h.connect("d1")
	h.connect("d2")
	h.assign(pump, app11)
	same(t, "stands", h.stands("d1", "d2"), []string{"d1: app@1.1 INITIATED", "d2: app@1.1 INITIATED"})
	h.assign(h.named("d1"), app12)
	same(t, "stands", h.stands("d1", "d2"), []string{"d1: app@1.2 INITIATED", "d2: app@1.1 INITIATED"})
	h.heard()

	// Without its own it goes back to the profile's; without that, to nothing.
	h.assign(h.named("d1"), "")
	same(t, "stands", h.stands("d1", "d2"), []string{"d1: app@1.1 INITIATED", "d2: app@1.1 INITIATED"})
	same(t, "pushed", h.heard(), []string{"d1: " + offer11})
	h.assign(pump, "")
	same(t, "stands", h.stands("d1", "d2"), []string{"d1: app@1.1 INITIATED, cancelled", "d2: app@1.1 INITIATED, cancelled"})
	const cancel = "cancel fw_title fw_version fw_ts fw_state fw_size fw_checksum fw_checksum_algorithm fw_url fw_tag"
	same(t, "pushed", h.heard(), []string{"d1: " + cancel, "d2: " + cancel})
	same(t, "chunk", h.handle("d1", ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware}), []string{"error not_found"})
}

func TestADeviceThatWasAwayLearnsOfItsUpdate(t *testing.T) {
	h := newHouse(t, "d1")
	h.assign(pump, app12)
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 INITIATED"})
	same(t, "pushed", h.heard(), nil)
	h.pass(time.Hour)
	h.connect("d1")
	same(t, "pushed", h.heard(), []string{"d1: " + offer12})

	// Away for days: the offer leaves the line, and comes again with the device.
	h.disconnect("d1")
	h.pass(30 * 24 * time.Hour)
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 QUEUED"})
	same(t, "attempt", h.track("d1").Update.Attempt, 1)
	h.connect("d1")
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 INITIATED"})
	same(t, "pushed", h.heard(), []string{"d1: " + offer12})
}

func TestADeviceThatFallsSilentIsTriedAgain(t *testing.T) {
	h := newHouse(t, "d1")
	h.connect("d1")
	h.assign(pump, app12)
	h.heard()
	h.report("d1", `{"fw_state":"DOWNLOADING"}`)
	h.pass(75 * time.Minute) // an hour of silence, then a back-off
	same(t, "pushed", h.heard(), []string{"d1: " + offer12})
	same(t, "attempt", h.track("d1").Update.Attempt, 2)
	h.report("d1", `{"fw_state":"DOWNLOADING"}`, `{"fw_state":"DOWNLOADED"}`)
	h.pass(time.Hour)
	same(t, "attempt", h.track("d1").Update.Attempt, 3)
	h.report("d1", `{"fw_state":"UPDATING"}`)
	h.pass(31 * time.Minute)
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 FAILED, no word in UPDATING for 30m"})
	same(t, "silent", h.track("d1").Update.Silent, true)

	// What runs is the truth, also after that.
	h.report("d1", `{"current_fw_title":"app","current_fw_version":"1.2"}`)
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 UPDATED"})
}

func TestADeviceThatLiesFails(t *testing.T) {
	h := newHouse(t, "d1")
	h.connect("d1")
	h.assign(pump, app12)
	h.report("d1", `{"fw_state":"UPDATED","current_fw_title":"app","current_fw_version":"1.1"}`)
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 FAILED, reports 1.1, the target is 1.2"})

	// A reconnect is no reason to try again; another assignment is.
	h.disconnect("d1")
	h.connect("d1")
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 FAILED, reports 1.1, the target is 1.2"})
	h.assign(pump, app11)
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.1 UPDATED"}) // it has said that it runs 1.1
}

func TestANewDeviceFollowsItsProfile(t *testing.T) {
	h := newHouse(t)
	h.assign(pump, app12)
	d := ota.NewDevice(ota.Device{ID: ota.NewDeviceID(7, 1), Tenant: tenant, Name: "late", Profile: profile}, h.now)
	h.homes[d.Ref] = d
	h.settle()
	same(t, "stands", h.stands("late"), []string{"late: app@1.2 INITIATED"})
}

func TestAnotherPackageTakesThePlaceOfAnOffer(t *testing.T) {
	h := newHouse(t, "d1")
	h.connect("d1")
	h.assign(pump, app11)
	h.report("d1", `{"fw_state":"DOWNLOADING"}`)
	h.assign(pump, app12)
	same(t, "stands", h.stands("d1"), []string{"d1: app@1.2 INITIATED"})
	same(t, "pushed", h.heard(), []string{"d1: " + offer11, "d1: " + offer12})

	// A session that is bound to the one before may end its download.
	same(t, "bound", h.handle("d1", ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware, Bound: app11}), []string{"chunk app@1.1 0+10"})
	same(t, "named", h.handle("d1", ota.Message{Event: ota.ChunkRequested, Kind: ota.Firmware, Want: ota.Version{Title: "app", Version: "1.1"}}),
		[]string{"error invalid another package is assigned"})
}

func TestBothKindsGoTheirOwnWays(t *testing.T) {
	h := newHouse(t, "d1")
	h.connect("d1")
	h.assign(pump, app12)
	h.wish(ota.Wish{Target: pump, Package: ref(ota.PackageRef, string(tool10))})
	same(t, "pushed", h.heard(), []string{"d1: " + offer12, "d1: " + offerTool})
	h.report("d1", `{"fw_state":"DOWNLOADING","sw_state":"FAILED","sw_error":"no space"}`)
	same(t, "firmware", h.stands("d1"), []string{"d1: app@1.2 DOWNLOADING"})
	same(t, "software", h.homes[h.named("d1")].Device.Software.Update.Error, "no space")
}
