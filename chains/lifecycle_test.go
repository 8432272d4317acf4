package chains_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func states(u *ota.Update) string {
	var out []string
	for _, s := range u.History {
		out = append(out, string(s.State))
	}
	return strings.Join(out, " ")
}

const clean = "QUEUED INITIATED DOWNLOADING DOWNLOADED VERIFIED UPDATING UPDATED"

// The cases beside the chains are played over a store in memory. What stands here
// goes the same roads over Redis, and recounts what it derives from its homes.

// TestUpdate is the whole road, for both kinds.
func TestUpdate(t *testing.T) {
	for _, k := range ota.Kinds() {
		t.Run(string(k), func(t *testing.T) {
			p := newPlant(t)
			pump := p.profile("pump")
			d := p.device("d1", pump)
			p.assign(p.pkg("1.2", k, pump), pump)
			if u := p.track(d, k).Update; u == nil || u.State != ota.Initiated {
				t.Fatalf("after the assignment: %+v", u)
			}
			pre := k.Prefix()
			want := fmt.Sprintf(`{"%[1]s_title":"app","%[1]s_version":"1.2","%[1]s_size":2500,"%[1]s_checksum_algorithm":"CRC32","%[1]s_checksum":"00000000"}`, pre)
			if len(p.said) != 1 || p.said[0].Word != ota.SayOffer || string(p.said[0].Shared) != want || len(p.said[0].Deleted) > 0 {
				t.Errorf("one push says all: %+v", p.said)
			}
			replies := p.say(d, ota.AttributesRequested, func(m *ota.Message) { m.SharedKeys = []string{pre + "_version", pre + "_title", "other"} })
			if len(replies) != 1 || string(replies[0].Shared) != fmt.Sprintf(`{"%[1]s_title":"app","%[1]s_version":"1.2"}`, pre) || replies[0].Client != nil {
				t.Errorf("attributes: %s", replies[0].Shared)
			}
			for chunk, want := range map[int64]int64{0: 1000, 2: 500, 3: 0} {
				replies := p.say(d, ota.ChunkRequested, func(m *ota.Message) {
					m.Kind, m.Size, m.Chunk, m.Want = k, 1000, chunk, ota.Version{Title: "app", Version: "1.2"}
				})
				if len(replies) != 1 || replies[0].Word != ota.SayChunk || replies[0].Section.Len != want {
					t.Errorf("chunk %d: %+v", chunk, replies)
				}
			}
			for _, s := range []string{"DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING"} {
				p.report(d, fmt.Sprintf(`{"%[1]s_state":%[2]q,"current_%[1]s_title":"app","current_%[1]s_version":"1.1","temperature":20.5}`, pre, s))
			}
			p.report(d, fmt.Sprintf(`{"%[1]s_state":"UPDATED","current_%[1]s_title":"app","current_%[1]s_version":"1.2"}`, pre))
			if got := states(p.track(d, k).Update); got != clean {
				t.Errorf("history: %s", got)
			}
			p.check()
		})
	}
}

// TestStuck leaves a device in a state without a word: it gets three
// attempts, then it has failed, and says where.
func TestStuck(t *testing.T) {
	for _, s := range []ota.State{ota.Initiated, ota.Updating} {
		t.Run(string(s), func(t *testing.T) {
			p := newPlant(t)
			pump := p.profile("pump")
			d := p.device("d1", pump)
			connect := func() {
				p.say(d, ota.Connected, func(m *ota.Message) { m.Session = ota.SessionID{Process: "plant", Num: 1} })
			}
			connect()
			p.assign(p.pkg("1.2", ota.Firmware, pump), pump)
			for attempt := 1; attempt <= 3; attempt++ {
				if s != ota.Initiated {
					p.report(d, fmt.Sprintf(`{"fw_state":%q}`, s))
				}
				u := p.track(d, ota.Firmware).Update
				if u.State != s || u.Attempt != attempt {
					t.Fatalf("attempt %d: %s, attempt %d", attempt, u.State, u.Attempt)
				}
				left := u.Deadline().Sub(p.now)
				p.pass(left - time.Second)
				if p.state(d) != s {
					t.Fatalf("left %s a second before its time", s)
				}
				p.pass(time.Second)
				if p.state(d) == s {
					t.Fatalf("stays in %s", s)
				}
				if attempt < 3 {
					p.pass(time.Hour) // the back-off; then it is offered again
				}
			}
			u := p.track(d, ota.Firmware).Update
			if u.State != ota.Failed || !u.Silent || !strings.Contains(u.Error, "no word in "+string(s)) {
				t.Errorf("%s, silent %v, %q", u.State, u.Silent, u.Error)
			}
			p.check()
		})
	}
}
