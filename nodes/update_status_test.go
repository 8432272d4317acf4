package nodes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func says(json string) ota.Message {
	return ota.Message{Event: ota.Telemetry, Values: []byte(json), Transport: "mqtt"}
}

func TestUpdateStatus(t *testing.T) {
	path := func(firmware ...string) []string {
		return append(append([]string{"save_telemetry saved"}, firmware...), "software/update_status unrelated")
	}
	moving := path("firmware/update_status moved", "firmware/apply_update")
	offered := func(w *world) { w.offer(app12) }
	state := func(want string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			t.Helper()
			same(t, "moved", moved(w.firmware().Update), want)
		}
	}
	facts(t, []fact{
		{"a state", offered, "telemetry", says(`{"fw_state":"DOWNLOADING"}`), moving, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "moved", moved(w.firmware().Update), "QUEUED INITIATED DOWNLOADING")
			same(t, "deadline", w.firmware().Update.Deadline(), start.Add(time.Hour))
		}},
		{"states are skipped", offered, "telemetry", says(`{"fw_state":"VERIFIED"}`), moving, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "deadline", w.firmware().Update.Deadline(), start.Add(30*time.Minute))
		}},
		{"UPDATED with the target", offered, "telemetry", says(`{"current_fw_title":"app","current_fw_version":"1.2","fw_state":"UPDATED"}`), path("firmware/update_status updated"), nil, "", state("QUEUED INITIATED UPDATED")},
		{"UPDATED without a version waits for one", offered, "telemetry", says(`{"fw_state":"UPDATED"}`), moving, nil, "", state("QUEUED INITIATED")},
		{"the version alone counts", offered, "telemetry", says(`{"current_fw_version":"1.2"}`), path("firmware/update_status updated"), nil, "", state("QUEUED INITIATED UPDATED")},
		{
			"UPDATED with another version is a lie", offered, "telemetry", says(`{"current_fw_title":"app","current_fw_version":"1.1","fw_state":"UPDATED"}`),
			path("firmware/update_status mismatched", "firmware/lied.fail_update failed"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
				same(t, "error", w.firmware().Update.Error, "reports 1.1, the target is 1.2")
			},
		},
		{"FAILED", offered, "telemetry", says(`{"fw_state":"FAILED","fw_error":"no space"}`), path("firmware/update_status failed", "firmware/failed.filter rejected"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "error", w.firmware().Update.Error, "no space")
		}},
		{"nothing about it", offered, "telemetry", says(`{"battery":80,"fw_error":null}`), path("firmware/update_status unrelated"), nil, "", state("QUEUED INITIATED")},
		{"a word of its own", offered, "telemetry", says(`{"fw_state":"IDLE","fw_error":""}`), path("firmware/update_status unrelated"), nil, "", state("QUEUED INITIATED")},
		{"before the offer", func(w *world) { w.queue(app12) }, "telemetry", says(`{"fw_state":"DOWNLOADING"}`), path("firmware/update_status unrelated"), nil, "", state("QUEUED")},
		{
			"before the offer it runs the target", func(w *world) { w.queue(app12) }, "telemetry", says(`{"current_fw_title":"app","current_fw_version":"1.2"}`),
			path("firmware/update_status updated"), []string{"push " + offer12}, "", state("QUEUED UPDATED"),
		},
		{"a number keeps its zeros", offered, "telemetry", says(`{"current_fw_title":"app","current_fw_version":1.10}`), path("firmware/update_status unrelated"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "reported", w.firmware().Reported, ota.Version{Title: "app", Version: "1.10"})
		}},
		{
			"both kinds at once", func(w *world) {
				w.offer(app12)
				w.offer(tool10)
			}, "telemetry", says(`{"fw_state":"DOWNLOADING","sw_state":"UPDATING","fw_error":""}`),
			[]string{"save_telemetry saved", "firmware/update_status moved", "firmware/apply_update", "software/update_status moved", "software/apply_update"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
				same(t, "software", w.device().Software.Update.State, ota.Updating)
			},
		},
		{"a flood of text is cut", offered, "telemetry", says(`{"fw_state":"FAILED","fw_error":"` + strings.Repeat("é", 9000) + `"}`), path("firmware/update_status failed", "firmware/failed.filter rejected"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			if n := len([]rune(w.firmware().Update.Error)); n > 600 {
				t.Errorf("the error has %d characters", n)
			}
		}},
	})
}

func TestUpdateStatusBySettings(t *testing.T) {
	offered := func(w *world) { w.offer(app12) }
	facts(t, []fact{
		{"a state and its time-out", offered, "report_settings", says(`{"s":"DOWNLOADING","fw_state":"FAILED"}`), []string{"update_status moved"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "deadline", w.firmware().Update.Deadline(), start.Add(2*time.Hour))
		}},
		{"a time-out that depends on the message", offered, "report_settings", says(`{"s":"DOWNLOADING","patient":true}`), []string{"update_status moved"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "deadline", w.firmware().Update.Deadline(), start.Add(48*time.Hour))
		}},
		{"what is left out comes from the message", offered, "report_settings", says(`{"s":"UPDATED","v":"1.1","current_fw_title":"app"}`), []string{"update_status mismatched", "lied.fail_update failed"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "error", w.firmware().Update.Error, "runs 1.1")
		}},
	})
}
