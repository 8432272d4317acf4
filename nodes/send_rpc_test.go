package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func calling(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: update_finished\nsteps:\n  - {node: send_rpc, with: {" + with + "}, to: {timed_out: end, offline: end}}\n"
}

func TestSendRPC(t *testing.T) {
	there := func(w *world) { w.session("mqtt") }
	facts(t, []fact{
		{"nobody is there", nil, calling("method: health"), finished, []string{"send_rpc offline"}, nil, "", nil},
		{"heard a minute ago, by a poll", func(w *world) { w.device().Heard = start.Add(-time.Minute) }, calling("method: health"), finished, nil, []string{"push rpc"}, "", nil},
		{"waits for the answer", there, calling(`method: "is ${device.name} well", params: {deep: true, n: "${1 + 1}"}, timeout: 2m`), finished, nil, []string{"push rpc"}, "", func(t *testing.T, _ *world, tr engine.Trial) {
			w := tr.Pushes[0]
			same(t, "method", w.Method, "is dev-1 well")
			same(t, "params", string(w.Body), `{"deep":true,"n":2}`)
			same(t, "waits", tr.Waits, &engine.Wait{At: start.Add(2 * time.Minute), Outlet: "timed_out", Event: ota.RPCAnswered, Call: w.Call})
			if w.Call <= 0 {
				t.Errorf("call number %d", w.Call)
			}
		}},
		{"no answer is expected", there, calling("method: reboot, oneway: true"), finished, []string{"send_rpc answered"}, []string{"push rpc"}, "", nil},
	})
}

func TestSendRPCSettings(t *testing.T) {
	refused(t, calling, []refusal{{"timeout: 1m", "needs the setting method"}, {"method: a, timeout: never", "timeout: "}, {"method: a, oneway: perhaps", "oneway: "}})
}
