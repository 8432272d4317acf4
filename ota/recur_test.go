package ota

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	kyiv, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Fatal(err)
	}
	york, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	must := func(n Recurrence, err error) Recurrence {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	tests := []struct {
		name  string
		next  Recurrence
		after string
		want  []string
	}{
		{"each minute multiple", must(Every(15 * time.Minute)), "2026-11-23T09:01:00Z", []string{"2026-11-23T09:15:00Z", "2026-11-23T09:30:00Z"}},
		{"a time itself is over", must(Every(time.Hour)), "2026-11-23T09:00:00Z", []string{"2026-11-23T10:00:00Z"}},
		{"cron in a zone", must(Cron("30 3 * * *", kyiv)), "2026-11-23T00:00:00Z", []string{"2026-11-23T01:30:00Z", "2026-11-24T01:30:00Z"}},
		{"cron over the spring gap", must(Cron("30 3 * * sun", kyiv)), "2026-03-27T00:00:00Z", []string{"2026-03-29T01:30:00Z", "2026-04-05T00:30:00Z"}},
		{"cron in the hour that comes twice", must(Cron("30 3 * * *", kyiv)), "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"each hour in the hour that comes twice", must(Cron("30 * * * *", kyiv)), "2026-10-25T00:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
		{"each hour over the gap", must(Cron("0 * * * *", kyiv)), "2026-03-29T00:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
		{"either day", must(Cron("0 0 13 * fri", time.UTC)), "2026-11-10T00:00:00Z", []string{"2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"}},
		{"steps and lists", must(Cron("*/20,5 8-9 * * mon-fri", time.UTC)), "2026-11-23T08:10:00Z", []string{"2026-11-23T08:20:00Z", "2026-11-23T08:40:00Z", "2026-11-23T09:00:00Z", "2026-11-23T09:05:00Z"}},
		{"leap day", must(Cron("0 0 29 feb *", time.UTC)), "2026-11-23T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		{"rule", must(RRule("FREQ=WEEKLY;BYDAY=MO;BYHOUR=3;BYMINUTE=30;BYSECOND=0", kyiv)), "2026-11-23T02:00:00Z", []string{"2026-11-30T01:30:00Z"}},
		{"rule in the hour that comes twice", must(RRule("FREQ=DAILY;BYHOUR=3;BYMINUTE=30;BYSECOND=0", kyiv)), "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"rule over the spring gap", must(RRule("FREQ=WEEKLY;BYDAY=SU;BYHOUR=3;BYMINUTE=30;BYSECOND=0", kyiv)), "2026-03-27T00:00:00Z", []string{"2026-03-29T01:30:00Z", "2026-04-05T00:30:00Z"}},
		{"cron over the spring gap west of Greenwich", must(Cron("15 2 * * *", york)), "2027-03-14T00:00:00Z", []string{"2027-03-14T07:15:00Z", "2027-03-15T06:15:00Z"}},
		{"cron over the gap and behind it", must(Cron("0,15 2,3 * * *", york)), "2027-03-14T06:00:00Z", []string{"2027-03-14T07:00:00Z", "2027-03-14T07:15:00Z", "2027-03-15T06:00:00Z"}},
		{"cron before the gap and in it", must(Cron("15 1,2 * * *", york)), "2027-03-14T06:00:00Z", []string{"2027-03-14T06:15:00Z", "2027-03-14T07:15:00Z", "2027-03-15T05:15:00Z"}},
		{"rule over the spring gap west of Greenwich", must(RRule("FREQ=DAILY;BYHOUR=2;BYMINUTE=15;BYSECOND=0", york)), "2027-03-14T00:00:00Z", []string{"2027-03-14T07:15:00Z", "2027-03-15T06:15:00Z"}},
		{"rule over the gap and behind it", must(RRule("FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=10;BYSECOND=0", york)), "2027-03-14T06:00:00Z", []string{"2027-03-14T06:10:00Z", "2027-03-14T07:10:00Z", "2027-03-15T05:10:00Z"}},
		{"rule until a time", must(RRule("FREQ=DAILY;BYHOUR=2;BYMINUTE=15;BYSECOND=0;UNTIL=20270315T061500Z", york)), "2027-03-14T08:00:00Z", []string{"2027-03-15T06:15:00Z", "0001-01-01T00:00:00Z"}},
		{"a rule that ends", must(RRule("DTSTART=20261123T090000Z;FREQ=DAILY;COUNT=2", time.UTC)), "2026-11-23T08:00:00Z", []string{"2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z", "0001-01-01T00:00:00Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				at = tt.next(at)
				if got := at.UTC().Format(time.RFC3339); got != want {
					t.Fatalf("next is %s, want %s", got, want)
				}
			}
		})
	}
}

func TestRecurrenceRefused(t *testing.T) {
	for _, line := range []string{"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "*/0 * * * *", "5-1 * * * *", "0 0 31 feb *", "a * * * *"} {
		if _, err := Cron(line, time.UTC); err == nil {
			t.Errorf("cron %q is taken", line)
		}
	}
	for _, rule := range []string{"", "FREQ=HOURLY", "FREQ=DAILY;COUNT=3", "FREQ=DAILY;INTERVAL=2", "FREQ=SOMETIMES", "FREQ=DAILY\nFREQ=DAILY"} {
		if _, err := RRule(rule, time.UTC); err == nil {
			t.Errorf("rule %q is taken", rule)
		}
	}
	if _, err := Every(time.Millisecond); err == nil {
		t.Error("an interval of 1ms is taken")
	}
}

func FuzzCron(f *testing.F) {
	f.Add("*/5 1-3 * jan mon,fri", int64(1_800_000_000))
	f.Fuzz(func(t *testing.T, line string, at int64) {
		n, err := Cron(line, time.UTC)
		if err != nil {
			return
		}
		after := time.Unix(at%4_000_000_000, 0)
		if next := n(after); !next.IsZero() && !next.After(after) {
			t.Errorf("%q: %s is not behind %s", line, next, after)
		}
	})
}
