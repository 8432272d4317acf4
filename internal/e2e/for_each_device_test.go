package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// reachChain reaches every pump of the plant when its boss says so. What the
// branch has done is counted on the pump by the branch itself: twice would show.
const reachChain = `chain: reach
summary: Reaches every pump when the boss says so.
trigger: {event: telemetry, profiles: [boss], if: msg.values.round != nil}
vars: {round: ""}
steps:
  - {node: set, with: {round: "${text(msg.values.round, '')}"}}
  - {node: for_each_device, name: pumps, with: {target: profile:pump, branch: one, rate: 1000/1s}}
  - {node: set_attributes, with: {scope: shared, push: false, values: {round: "${vars.round}", done: "${steps.pumps.done}", failed: "${steps.pumps.failed}"}}}
branches:
  one:
    - {node: filter, with: {if: "not (device.name endsWith '13')"}, to: {rejected: refuse}}
    - {node: get_attributes, name: before, with: {scope: shared, keys: [reached]}}
    - {node: set_attributes, with: {scope: shared, push: false, values: {reached: "${number(steps.before.values.reached, 0) + 1}", by: "${vars.round} of ${device.name}"}}}
  refuse: [{node: fail, with: {code: conflict, message: it will not}}]
`

// A branch is run for every device of a profile while the server is killed three
// times. Each device has its branch once, the run that waits for them goes on
// with the right counts, and so does the next one.
func TestForEachDeviceKilled(t *testing.T) {
	t.Parallel()
	n := sized(2_000, 400)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "reach.yaml"), []byte(reachChain), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &inFlight{server: run(t, "", "--set", "redis_fsync=always", "--chains", dir), n: n}
	x.client.Transport = &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(x.client.CloseIdleConnections)
	x.do(t, "profile", "create", "pump")
	x.do(t, "profile", "create", "boss")
	token := x.token(t)
	device := func(name, profile string) error {
		return x.request(t.Context(), token, http.MethodPost, "/api/devices", map[string]string{"name": name, "profile": profile, "accessToken": name}, nil)
	}
	stubborn := func(i int) bool { return strings.HasSuffix(x.name(i), "13") }
	failing := 0
	for i := range n {
		if stubborn(i) {
			failing++
		}
	}
	each(t, n, func(i int) error { return device(x.name(i), "pump") })
	if err := device(x.name(n), "boss"); err != nil { // the name behind the others
		t.Fatal(err)
	}
	for round, kills := range []int{3, 0} {
		want := fmt.Sprintf("round %d", round+1)
		if err := x.say(n, fmt.Sprintf(`{"round":%q}`, want)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for k := range kills {
			some := n * (k + 1) / (kills + 2)
			wait(t, time.Minute, "the job has come some way", func() (bool, string) {
				at := x.reached(t, n, round+1)
				return at >= some, fmt.Sprint(at)
			})
			x.kill()
			x.again(t)
		}
		wait(t, 2*time.Minute, "the run goes on", func() (bool, string) {
			boss, err := x.shared(x.name(n), "round", "done", "failed")
			if err != nil {
				return false, err.Error()
			}
			return boss["round"] == want, fmt.Sprint(boss, " ", x.reached(t, n, round+1))
		})
		t.Logf("%s: %d devices within %v, the server killed %d times", want, n, time.Since(began), kills)
		boss, err := x.shared(x.name(n), "done", "failed")
		if err != nil || boss["done"] != float64(n-failing) || boss["failed"] != float64(failing) {
			t.Errorf("%s: it counts %v, %v, want %d done and %d failed", want, boss, err, n-failing, failing)
		}
		each(t, n, func(i int) error {
			got, err := x.shared(x.name(i), "reached", "by")
			if stubborn(i) {
				if err == nil && got["reached"] != nil {
					err = fmt.Errorf("%s: %v", x.name(i), got)
				}
				return err
			}
			if err == nil && (got["reached"] != float64(round+1) || got["by"] != want+" of "+x.name(i)) {
				err = fmt.Errorf("%s after %s: %v", x.name(i), want, got)
			}
			return err
		})
	}
	var letters struct{ TotalElements int }
	x.manage(t, http.MethodGet, "/api/deadletters", nil, &letters)
	if letters.TotalElements != 0 {
		t.Errorf("%d runs failed", letters.TotalElements)
	}
	if stray, err := x.shared(x.name(n), "reached"); err != nil || stray["reached"] != nil {
		t.Errorf("a device of another profile was reached: %v, %v", stray, err)
	}
}

// shared reads shared attributes of a device, as itself; its name is its token.
func (x *inFlight) shared(name string, keys ...string) (map[string]any, error) {
	list := ""
	for i, k := range keys {
		if i > 0 {
			list += ","
		}
		list += k
	}
	res, err := x.client.Get("http://" + x.http + "/api/v1/" + name + "/attributes?sharedKeys=" + list)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var got struct{ Shared map[string]any }
	err = json.NewDecoder(res.Body).Decode(&got)
	return got.Shared, err
}

// reached counts, of some devices, how many have had the branch of a round, and
// says what that makes of all.
func (x *inFlight) reached(t *testing.T, n, round int) int {
	t.Helper()
	const looks = 100
	var had atomic.Int64
	each(t, looks, func(i int) error {
		got, err := x.shared(x.name(i*n/looks), "reached")
		if err == nil && got["reached"] == float64(round) {
			had.Add(1)
		}
		return err
	})
	return int(had.Load()) * n / looks
}
