package ota

import (
	"fmt"
	"testing"
	"time"
)

var (
	v1  = Version{Title: "app", Version: "1.1"}
	v2  = Version{Title: "app", Version: "1.2"}
	pk2 = &Package{ID: "p2", Kind: Firmware, Version: v2, Blob: "b", Profile: "P"}
	t0  = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
)

// in returns a track whose update to v2 has come to s, the way devices bring it
// there.
func in(t *testing.T, s State) *Track {
	t.Helper()
	tr := &Track{Reported: v1}
	tr.Enqueue(pk2, "1", "r1", "", t0)
	if s == Queued {
		return tr
	}
	if err := tr.Initiate(time.Hour, t0); err != nil {
		t.Fatal(err)
	}
	if s != Initiated {
		r := Report{State: string(s)}
		if s == Updated {
			r.Title, r.Version = v2.Title, v2.Version
		}
		tr.Report(r, t0)
	}
	if tr.Update.State != s {
		t.Fatalf("cannot bring an update to %s, it is in %s", s, tr.Update.State)
	}
	return tr
}

// Every state against every word, the version not mentioned.
func TestReportAllPairs(t *testing.T) {
	words := []string{"IDLE", "QUEUED", "INITIATED", "DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING", "UPDATED", "FAILED"}
	const stay = State("")
	// what each word does in each state: the state it leads to ("" stays), and the outcome
	move := func(s State) string { return string(s) + " moved" }
	table := map[State][]string{
		Queued:      {" unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated"},
		Initiated:   {" unrelated", " unrelated", " unrelated", move(Downloading), move(Downloaded), move(Verified), move(Updating), " moved", "FAILED failed"},
		Downloading: {" unrelated", " unrelated", " unrelated", " moved", move(Downloaded), move(Verified), move(Updating), " moved", "FAILED failed"},
		Downloaded:  {" unrelated", " unrelated", " unrelated", move(Downloading), " moved", move(Verified), move(Updating), " moved", "FAILED failed"},
		Verified:    {" unrelated", " unrelated", " unrelated", move(Downloading), " moved", " moved", move(Updating), " moved", "FAILED failed"},
		Updating:    {" unrelated", " unrelated", " unrelated", move(Downloading), " moved", " moved", " moved", " moved", "FAILED failed"},
		Updated:     {" unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated"},
		Failed:      {" unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated", " unrelated"},
	}
	for _, s := range States() {
		for i, word := range words {
			t.Run(string(s)+" "+word, func(t *testing.T) {
				tr := in(t, s)
				got := tr.Report(Report{State: word, Error: "why"}, t0.Add(time.Minute))
				state := tr.Update.State
				if state == s {
					state = stay
				}
				if have := fmt.Sprintf("%s %s", state, got); have != table[s][i] {
					t.Errorf("leads to %q, want %q", have, table[s][i])
				}
				if got == ToFailed && tr.Update.Error != "why" {
					t.Errorf("error is %q", tr.Update.Error)
				}
			})
		}
	}
}

// Every state against the version reported, with and without a word.
func TestReportVersions(t *testing.T) {
	tests := []struct {
		state State
		r     Report
		want  Outcome
		end   State
	}{
		{Queued, Report{Version: "1.2", Title: "app"}, ToUpdated, Updated},                       // before the offer the target counts
		{Queued, Report{Version: "1.1", Title: "app"}, Unrelated, Queued},                        // short of the target nothing does
		{Queued, Report{Version: "1.1", Title: "app", State: "UPDATED"}, Unrelated, Queued},      // it speaks of the one before
		{Initiated, Report{Version: "1.1", Title: "app", State: "IDLE"}, Unrelated, Initiated},   // a device that comes up
		{Initiated, Report{Version: "1.2", Title: "app", State: "IDLE"}, ToUpdated, Updated},     // IDLE is no word of ours
		{Initiated, Report{Version: "1.2"}, ToUpdated, Updated},                                  // no title: the target's
		{Initiated, Report{Version: "1.2", Title: "other"}, Unrelated, Initiated},                // another product
		{Downloading, Report{Version: "1.1", State: "DOWNLOADING"}, Moved, Downloading},          // the version still running
		{Updating, Report{Version: "1.2", State: "UPDATED", Title: "app"}, ToUpdated, Updated},   // the clean end
		{Updating, Report{Version: "1.1", State: "UPDATED", Title: "app"}, Mismatched, Updating}, // a lie
		{Updating, Report{Version: "1.1"}, Unrelated, Updating},                                  // still the old one: it may take a while
		{Updating, Report{Version: "1.2"}, ToUpdated, Updated},                                   // said without a state
		{Updating, Report{Version: "1.2", State: "UPDATING"}, Moved, Updating},                   // a word of ours is believed first
		{Updated, Report{Version: "1.1", State: "UPDATED"}, Unrelated, Updated},                  // after the end nothing moves
		{Failed, Report{Version: "1.2", State: "UPDATED", Title: "app"}, ToUpdated, Updated},     // tried again by itself: what runs is the truth
		{Failed, Report{Version: "1.1", State: "UPDATED", Title: "app"}, Unrelated, Failed},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %v", tt.state, tt.r), func(t *testing.T) {
			tr := in(t, tt.state)
			if got := tr.Report(tt.r, t0.Add(time.Minute)); got != tt.want || tr.Update.State != tt.end {
				t.Errorf("is %s in %s, want %s in %s", got, tr.Update.State, tt.want, tt.end)
			}
			if tr.Reported.Version != tt.r.Version {
				t.Errorf("the reported version is noted as %q", tr.Reported.Version)
			}
		})
	}
}

func TestReportUpdatedWaitsForItsVersion(t *testing.T) {
	for version, want := range map[string]Outcome{"1.2": ToUpdated, "1.1": Mismatched} {
		tr := in(t, Updating)
		if got := tr.Report(Report{State: "UPDATED"}, t0); got != Moved || tr.Update.State != Updating {
			t.Errorf("UPDATED alone is %s in %s", got, tr.Update.State)
		}
		if got := tr.Report(Report{Version: version}, t0); got != want {
			t.Errorf("then version %s is %s, want %s", version, got, want)
		}
		if want == Mismatched && tr.Update.Reported != v1 {
			t.Errorf("what it runs instead is noted as %v", tr.Update.Reported)
		}
	}
}

func TestReportAfterFallingBackToTheQueue(t *testing.T) {
	tr := in(t, Initiated)
	if !tr.Retry(3, time.Minute, false, t0) || !tr.Update.Away || tr.Update.Attempt != 1 {
		t.Fatalf("an update of a device that is away waits for it, and uses no attempt: %+v", tr.Update)
	}
	if !tr.Update.Deadline().IsZero() || tr.Update.Waiting() {
		t.Error("it waits for the device alone: no deadline, no place in line")
	}
	if !tr.Heard() || !tr.Update.Waiting() {
		t.Error("once heard, it stands in line")
	}
	if got := tr.Report(Report{State: "DOWNLOADING"}, t0); got != Moved || tr.Update.State != Downloading {
		t.Errorf("it was offered once, so a report counts: %s, %s", got, tr.Update.State)
	}
}

// Whatever order, repetition and loss do to a clean device's reports, as long as
// the last one with the version arrives the update ends UPDATED and stays there.
func TestReportAnyOrderEndsUpdated(t *testing.T) {
	clean := []Report{{State: "DOWNLOADING"}, {State: "DOWNLOADED"}, {State: "VERIFIED"}, {State: "UPDATING"}, {State: "UPDATED", Title: "app", Version: "1.2"}}
	var permute func(rest, done []Report)
	permute = func(rest, done []Report) {
		if len(rest) == 0 {
			tr := in(t, Initiated)
			for _, r := range append(done, done...) {
				tr.Report(r, t0)
			}
			if tr.Update.State != Updated {
				t.Errorf("%v, twice, ends %s", done, tr.Update.State)
			}
		}
		for i := range rest {
			next := append(append([]Report{}, rest[:i]...), rest[i+1:]...)
			permute(next, append(append([]Report{}, done...), rest[i]))
		}
	}
	permute(clean, nil)
}

func TestCleanHistory(t *testing.T) {
	tr := in(t, Initiated)
	for _, s := range []State{Downloading, Downloaded, Verified, Updating} {
		tr.Report(Report{State: string(s)}, t0)
		tr.Report(Report{State: string(s)}, t0) // a repeat leaves no trace
	}
	tr.Report(Report{State: "UPDATED", Title: "app", Version: "1.2"}, t0)
	var got []State
	for _, s := range tr.Update.History {
		got = append(got, s.State)
	}
	if want := States()[:7]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("history %v, want %v", got, want)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	tr := in(t, Downloaded)
	for range 10 * maxHistory {
		tr.Report(Report{State: "DOWNLOADING"}, t0)
		tr.Report(Report{State: "DOWNLOADED"}, t0)
	}
	if n := len(tr.Update.History); n > maxHistory {
		t.Errorf("%d steps", n)
	}
	if tr.Update.History[0].State != Queued {
		t.Error("the beginning is kept")
	}
}
