package ota

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// banded is a rollout of which pilots have the first places, then a site.
func banded() *Rollout {
	r := &Rollout{ID: "r7", State: RolloutRunning}
	r.SetPlan([]Stage{
		{Name: "pilots", Share: 0.01, AtLeast: 10, Decided: 0.95, Where: "device.attributes.shared.pilot == true"},
		{Name: "site", Share: 0.1, Decided: 0.95, Where: "device.attributes.server.site == params.site"},
		{Name: "everyone", Share: 1, Decided: 0.95, MaxFailures: 1},
	})
	return r
}

// TestPlaces: whatever the shares are, a band stands before the next one, and
// within it shares decide.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Rollout{}
		for range rapid.IntRange(0, 5).Draw(t, "bands") {
			r.Plan = append(r.Plan, Stage{Name: "s", Where: "true"})
		}
		r.Plan = append(r.Plan, Stage{Name: "all", Share: 1})
		const most = 1 - 1.0/(1<<53)
		share := rapid.Float64Range(0, most)
		b1, b2 := rapid.IntRange(0, r.Bands()).Draw(t, "band"), rapid.IntRange(0, r.Bands()).Draw(t, "another")
		s1, s2 := share.Draw(t, "share"), share.Draw(t, "another share")
		p1, p2 := r.PlaceOf(b1, s1), r.PlaceOf(b2, s2)
		if p1 < 0 || p1 >= 1 {
			t.Fatalf("place %v is none", p1)
		}
		if b1 < b2 && p1 >= p2 || b1 == b2 && s1 <= s2 && p1 > p2 {
			t.Fatalf("band %d share %v stands at %v, band %d share %v at %v", b1, s1, p1, b2, s2, p2)
		}
		if r.Bands() == 0 && p1 != s1 {
			t.Fatalf("without bands the place is %v, want the share %v", p1, s1)
		}
	})
}

func TestBands(t *testing.T) {
	r := banded()
	for _, tt := range []struct {
		band  int
		stage string
	}{{0, "pilots"}, {1, "site"}, {2, ""}, {9, ""}, {-1, "pilots"}} {
		for _, share := range []float64{0, 0.25, 0.9} {
			stage, at := r.BandOf(r.PlaceOf(tt.band, share))
			name := ""
			if stage != nil {
				name = stage.Name
			}
			if name != tt.stage || at < share-1e-9 || at > share+1e-9 {
				t.Errorf("band %d, share %v is read as stage %q, %v", tt.band, share, name, at)
			}
		}
	}
}

// TestMark: nobody else is let in before those are who come first.
func TestMark(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	type reach struct{ pilot, site, other, urgent bool }
	tests := []struct {
		name     string
		stage    string
		c        RolloutCounts
		gathered bool
		want     reach
	}{
		{"members are being told", "pilots", RolloutCounts{Members: 30}, false, reach{pilot: true, urgent: true}},
		{"pilots stand in line", "pilots", RolloutCounts{Members: 300, Ahead: 3}, true, reach{pilot: true, urgent: true}},
		{"others follow", "pilots", RolloutCounts{Members: 300}, true, reach{true, true, true, true}},
		{"the site", "site", RolloutCounts{Members: 300, Ahead: 1}, true, reach{pilot: true, site: true, urgent: true}},
		{"everyone", "everyone", RolloutCounts{Members: 300, Ahead: 1}, false, reach{true, true, true, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := banded()
			if err := r.OpenStage(tt.stage, Tally{}, at); err != nil {
				t.Fatal(err)
			}
			r.Look(tt.c, Tally{}, tt.gathered, at)
			in := func(band, priority int) bool {
				return r.Reaches(&Update{Place: r.PlaceOf(band, 0.99), Priority: priority})
			}
			if got := (reach{in(0, 0), in(1, 0), in(2, 0), in(2, 1)}); got != tt.want {
				t.Errorf("at mark %v it reaches %+v, want %+v", r.Mark, got, tt.want)
			}
			if r.Stale(tt.c, Tally{}, tt.gathered) {
				t.Error("it is stale at once")
			}
			if _, first := r.Band(); !first {
				return
			}
			for ahead := range 2 {
				c := tt.c
				c.Ahead = ahead
				if got, want := r.Stale(c, Tally{}, true), (ahead == 0) != (r.Mark == 1); got != want {
					t.Errorf("with %d ahead it is stale: %v, want %v, at mark %v", ahead, got, want, r.Mark)
				}
			}
		})
	}
}

func TestExplainBands(t *testing.T) {
	now := born.Add(2 * time.Hour)
	full, open := RolloutCounts{Members: 1000, Waiting: 990}, RolloutCounts{Members: 1000, Waiting: 1000}
	tests := map[string]struct {
		stage    string
		band     int
		c        RolloutCounts
		admitted int
		mark     float64
		want     string
	}{
		"a pilot more than the stage lets in": {"pilots", 0, full, 10, 1,
			"Rollout r7 is in stage pilots (10 of 10 admitted); this device stands at 7.31 % of those that come first with stage pilots, it comes with stage site."},
		"of the site": {"pilots", 1, full, 10, 1,
			"Rollout r7 is in stage pilots (10 of 10 admitted); this device stands at 7.31 % of those that come first with stage site, it comes with stage site."},
		"one of the others": {"pilots", 2, full, 10, 1,
			"Rollout r7 is in stage pilots (10 of 10 admitted); this device stands at 7.31 % of the line behind those that come first with stage pilots or site, it comes with stage site at the earliest."},
		"pilots come first": {"pilots", 2, open, 0, 1.0 / 3,
			"It waits for rollout r7, whose stage pilots lets in first who comes first with it; the device stands at 7.31 % of the line behind those that come first with stage pilots or site, it comes with stage site at the earliest."},
		"a pilot's turn": {"pilots", 0, open, 0, 1.0 / 3,
			"Rollout r7 lets it in: it waits for its turn, at 7.31 % of those that come first with stage pilots; 100 are offered every 1 min."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := situation()
			r := banded()
			r.Package, r.Chain = "a2", "pilot_site"
			r.Stage, r.Quota, r.Mark, r.Allowed = tt.stage, 0.01, tt.mark, 10
			s.Rollout, s.Counts, s.Tally = r, tt.c, Tally{Admitted: tt.admitted}
			s.Home.Device.Firmware.Update.Place = r.PlaceOf(tt.band, 0.0731)
			if got := Explain(s, now); !slices.Contains(got, tt.want) {
				t.Errorf("it says\n%q\nwant among them\n%q", got, tt.want)
			}
		})
	}
}
