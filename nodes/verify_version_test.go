package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestVerifyVersion(t *testing.T) {
	const chain = `chain: verify
summary: Says what became of an update.
trigger: update_finished
steps:
  - {node: verify_version, name: now, to: {different: odd, unknown: odd}}
branches:
  odd: [{node: log, with: {message: "runs ${steps.now.version}"}}]
`
	done := ota.Message{Event: ota.UpdateFinished, Kind: ota.Firmware, State: ota.Updated}
	offered := func(runs ota.Version) func(*world) {
		return func(w *world) {
			w.offer(app12)
			w.firmware().Reported = runs
		}
	}
	facts(t, []fact{
		{"the target", offered(ota.Version{Title: "app", Version: "1.2"}), chain, done, []string{"now verified"}, nil, "", nil},
		{"the target without its title", offered(ota.Version{Version: "1.2"}), chain, done, []string{"now verified"}, nil, "", nil},
		{"another version", offered(ota.Version{Title: "app", Version: "1.1"}), chain, done, []string{"now different", "odd.log done"}, nil, "", nil},
		{"another title", offered(ota.Version{Title: "boot", Version: "1.2"}), chain, done, []string{"now different", "odd.log done"}, nil, "", nil},
		{"nothing", offered(ota.Version{}), chain, done, []string{"now unknown", "odd.log done"}, nil, "", nil},
		{"no update", nil, chain, done, []string{"now error"}, nil, ota.Conflict, nil},
	})
}
