package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func windowed(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: rpc_requested\nsteps:\n  - {node: window, name: w, with: {" + with + "}, to: {outside: shut}}\n" +
		"  - {node: reply, with: {body: \"in ${steps.w.opens_at} ${steps.w.closes_at}\"}}\nbranches:\n  shut: [{node: reply, with: {body: \"out ${steps.w.opens_at} ${steps.w.closes_at}\"}}]\n"
}

// TestWindow: Monday, 2026-11-23, 09:00 UTC.
func TestWindow(t *testing.T) {
	tests := []struct{ name, with, outlet, opens, closes string }{
		{"inside", `opens: "08:00", closes: "10:00"`, "inside", "2026-11-23T08:00", "2026-11-23T10:00"},
		{"it opens now", `opens: "09:00", closes: "10:00"`, "inside", "2026-11-23T09:00", "2026-11-23T10:00"},
		{"it closes now", `opens: "08:00", closes: "09:00"`, "outside", "2026-11-24T08:00", "2026-11-24T09:00"},
		{"over midnight, inside", `opens: "22:00", closes: "09:30"`, "inside", "2026-11-22T22:00", "2026-11-23T09:30"},
		{"over midnight, outside", `opens: "22:00", closes: "05:00"`, "outside", "2026-11-23T22:00", "2026-11-24T05:00"},
		{"another zone", `opens: "11:00", closes: "12:00", zone: Europe/Kyiv`, "inside", "2026-11-23T09:00", "2026-11-23T10:00"},
		{"the device's zone", `opens: "04:00", closes: "05:00", zone: "${device.zone ?? 'America/New_York'}"`, "inside", "2026-11-23T09:00", "2026-11-23T10:00"},
		{"not on Mondays", `opens: "08:00", closes: "10:00", days: [wed, sun]`, "outside", "2026-11-25T08:00", "2026-11-25T10:00"},
		{"a window belongs to the day on which it opens", `opens: "22:00", closes: "09:30", days: [mon]`, "outside", "2026-11-23T22:00", "2026-11-24T09:30"},
		{"save one day", `opens: "08:00", closes: "10:00", except: [2026-11-23]`, "outside", "2026-11-24T08:00", "2026-11-24T10:00"},
		{"save days of each year", `opens: "08:00", closes: "10:00", except: ["11-23", "11-24"]`, "outside", "2026-11-25T08:00", "2026-11-25T10:00"},
		{"a rare day", `opens: "08:00", closes: "10:00", days: [mon], except: ["11-23", "11-30"]`, "outside", "2026-12-07T08:00", "2026-12-07T10:00"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld()
			tr := w.run(t, windowed(x.with), ota.Message{Event: ota.RPCRequested})
			if tr.Err != nil {
				t.Fatal(tr.Err)
			}
			want := map[string]string{"inside": "in", "outside": "out"}[x.outlet]
			same(t, "said", saidBy(tr), []string{"body 200 " + want + " " + x.opens + ":00Z " + x.closes + ":00Z"})
		})
	}
}

func TestWindowSettings(t *testing.T) {
	refused(t, windowed, []refusal{
		{`opens: "25:00", closes: "10:00"`, `opens "25:00" is no clock time`},
		{`opens: "8:00", closes: "10:00"`, `"8:00" is no clock time`},
		{`opens: "08:00", closes: "08:00"`, "closes is when the window opens"},
		{`opens: "08:00", closes: "10:00", zone: Europe/Kiew`, `zone "Europe/Kiew" is no time zone`},
		{`opens: "08:00", closes: "10:00", days: [monday]`, `days is "monday", want one of`},
		{`opens: "08:00", closes: "10:00", days: []`, "days names no day"},
		{`opens: "08:00", closes: "10:00", except: [christmas]`, `except has "christmas"`},
	})
	facts(t, []fact{
		{"a zone that is none", func(w *world) { w.device().Zone = "Atlantis" }, windowed(`opens: "08:00", closes: "10:00", zone: "${device.zone ?? 'UTC'}"`),
			ota.Message{Event: ota.RPCRequested}, []string{"w error"}, nil, ota.Invalid, nil},
		{"it never opens", nil, windowed(`opens: "${'08:00'}", closes: "${'08:00'}"`), ota.Message{Event: ota.RPCRequested}, []string{"w error"}, nil, ota.Invalid, nil},
	})
}
