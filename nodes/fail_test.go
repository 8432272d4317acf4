package nodes_test

import (
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// Whoever asks is answered with the code.
func TestFailOfAnAsker(t *testing.T) {
	load(t, "chain: x\nsummary: A test.\ntrigger: rpc_requested\nsteps: [{node: fail, with: {code: invalid, message: unknown}}]\n", newWorld())
}

func TestFail(t *testing.T) {
	path := []string{"fail error"}
	says12 := func(want string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) {
			if !strings.HasSuffix(r.Err.Error(), want) {
				t.Errorf("error %q does not end in %q", r.Err, want)
			}
		}
	}
	facts(t, []fact{
		{"a code", nil, "fail_word", says(`{"code":"not_found"}`), path, nil, ota.NotFound, says12("as dev-1 wished")},
		{"no such code", nil, "fail_word", says(`{"code":"teapot"}`), path, nil, ota.Internal, says12(`is "teapot", want one of invalid, not_found, conflict, busy, internal`)},
	})
}
