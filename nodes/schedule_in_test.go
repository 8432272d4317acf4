package nodes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func TestScheduleIn(t *testing.T) {
	const chain = `chain: struck
summary: Runs at eight.
trigger: {node: schedule_in, with: {cron: "0 8 * * *", zone: Europe/Kyiv, missed: skip}}
steps:
  - {node: reply, with: {body: "${msg.due_at} ${msg.late}"}}
`
	r := arrived(t, chain, ota.Message{TS: start.Add(-3 * time.Hour)})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	same(t, "said", saidBy(r), []string{"body 200 2026-11-23T06:00:00Z 3h"})
	d := load(t, chain, newWorld()).Triggers[0].Door
	same(t, "next", d.Next(start), time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC))
	same(t, "missed", d.Missed, "skip")
}

func TestScheduleInRefused(t *testing.T) {
	tests := []struct{ name, with, want string }{
		{"no plan", `{}`, "exactly one of"},
		{"two plans", `{every: 1h, cron: "0 8 * * *"}`, "exactly one of"},
		{"a line that is none", `{cron: "0 8 * *"}`, "cron has 4 fields, want 5"},
		{"a rule that is none", `{rrule: "FREQ=NOW"}`, "rrule is no rule of RFC 5545"},
		{"too often", `{every: 1ms}`, "every is shorter than 1s"},
		{"a zone that is none", `{cron: "0 8 * * *", zone: Kyiv}`, "which is no time zone"},
		{"a zone of an interval", `{every: 1h, zone: Europe/Kyiv}`, "the same everywhere"},
		{"a word", `{every: 1h, missed: all}`, `missed is "all", want one of once and skip`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := faultsOf(t, "chain: x\nsummary: X.\ntrigger: {node: schedule_in, with: "+tt.with+"}\nsteps: [{node: log, with: {message: x}}]\n")
			if !strings.Contains(text, tt.want) {
				t.Errorf("faults are\n%s\nwant %q", text, tt.want)
			}
		})
	}
}
