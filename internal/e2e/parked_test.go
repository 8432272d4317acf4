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

// napChain lets a run wait until a time that the device says, and then counts on
// the device that it has come.
const napChain = `chain: nap
summary: Waits until a time that the device says, and counts that it has come.
trigger: {event: telemetry, profiles: [sleeper], if: msg.values.at != nil}
fields: {shared: {fired: number}}
steps:
  - {node: delay, with: {until: "${msg.values.at}"}}
  - {node: get_attributes, name: before, with: {scope: shared, keys: [fired]}}
  - {node: set_attributes, with: {scope: shared, push: false, values: {fired: "${number(steps.before.values.fired, 0) + 1}"}}}
`

// Many runs wait for the same moment, and cost the server no memory. It is
// killed twice while they fire; each fires once.
//
// WINDLASS_E2E=full makes it a hundred thousand runs, and full,million a million,
// which take the better part of an hour on two cores.
func TestParkedRuns(t *testing.T) {
	t.Parallel()
	n := sized(10_000, 1_000)
	switch {
	case asked("million"):
		n = 1_000_000
	case asked("full"):
		n = 100_000
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nap.yaml"), []byte(napChain), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &inFlight{server: run(t, "", "--set", "redis_fsync=always", "--chains", dir), n: n}
	x.client.Transport = &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(x.client.CloseIdleConnections)
	x.do(t, "profile", "create", "sleeper")
	token := x.token(t)
	idle, _ := x.memory(t)
	began := time.Now()
	each(t, n, func(i int) error {
		return x.request(t.Context(), token, http.MethodPost, "/api/devices",
			map[string]string{"name": x.name(i), "profile": "sleeper", "accessToken": x.name(i)}, nil)
	})
	// All wait for a moment at which the last of them will surely wait.
	due := time.Now().Add(time.Since(began)*3/2 + 25*time.Second).UTC()
	body := fmt.Sprintf(`{"at":%q}`, due.Format(time.RFC3339Nano))
	each(t, n, func(i int) error { return x.say(i, body) })
	if late := time.Since(due); late > -15*time.Second {
		t.Fatalf("the last run began to wait %v after they were due", late)
	}
	x.kill() // what the traffic has left in memory goes, and what waits stays
	x.again(t)
	wait(t, time.Until(due)+time.Second, "the moment comes", func() (bool, string) { return time.Until(due) < 100*time.Millisecond, "" })
	parked, most := x.memory(t)
	t.Logf("%d runs wait; the server has %d MB, %d at most; without any it had %d", n, parked>>20, most>>20, idle>>20)
	if parked > idle+64<<20 {
		t.Errorf("%d runs that wait cost %d MB", n, (parked-idle)>>20)
	}
	wait(t, time.Until(due)+2*time.Second, "the first run fires", func() (bool, string) {
		return x.waiting(t) < n, time.Since(due).String()
	})
	t.Logf("the first fired within %v", time.Since(due))
	for range 2 {
		left := x.waiting(t)
		wait(t, time.Minute, "some more fire", func() (bool, string) { return x.waiting(t) < left-n/10, "" })
		x.kill()
		x.again(t)
	}
	wait(t, time.Duration(whole(20, 5, 5))*time.Minute, "all have fired", func() (bool, string) { left := x.waiting(t); return left == 0, fmt.Sprint(left) })
	t.Logf("all fired within %v, two starts of the server among it", time.Since(due))
	var once atomic.Int64
	each(t, n, func(i int) error {
		res, err := x.client.Get("http://" + x.http + "/api/v1/" + x.name(i) + "/attributes?sharedKeys=fired")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var got struct{ Shared struct{ Fired int } }
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
			return err
		}
		if got.Shared.Fired != 1 {
			return fmt.Errorf("%s has fired %d times", x.name(i), got.Shared.Fired)
		}
		once.Add(1)
		return nil
	})
	if once.Load() != int64(n) {
		t.Errorf("%d of %d fired once", once.Load(), n)
	}
}

// say is one telemetry message of a device.
func (x *inFlight) say(i int, body string) error { return x.sayAs(x.name(i), body) }

func (x *inFlight) sayAs(name, body string) error {
	res, err := x.client.Post("http://"+x.http+"/api/v1/"+name+"/telemetry", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s is answered by %s", name, body, res.Status)
	}
	return nil
}

// waiting counts the runs of the chain that wait, as the server shows it.
func (x *inFlight) waiting(t *testing.T) int {
	t.Helper()
	var revisions struct{ Data []struct{ Waiting int } }
	x.manage(t, http.MethodGet, "/api/chains/nap/revisions", nil, &revisions)
	sum := 0
	for _, r := range revisions.Data {
		sum += r.Waiting
	}
	return sum
}
