package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
)

// A thousand devices are under way and fail in the same moment, while as many
// wait for their places: the door shuts, and once that is stored nobody is let
// in any more. Who was offered the package is who was let in.
func TestCanaryThousandFailAtOnce(t *testing.T) {
	t.Parallel()
	alone(t)
	flight := sized(1000, 200)
	x := &inFlight{server: run(t, "", "--chains", conductors(t), "--set", "offers.pace=unlimited", "--set", "redis_fsync=always"), n: 3 * flight}
	x.client.Transport = &http.Transport{MaxIdleConnsPerHost: x.n}
	t.Cleanup(x.client.CloseIdleConnections)
	x.do(t, "profile", "create", "pump")
	image, _ := randomFile(t, randomFor(t), 5000)
	x.upload(t, image, "app", "1.2", "pump")
	token := x.token(t)
	each(t, x.n, func(i int) error {
		return x.request(t.Context(), token, http.MethodPost, "/api/devices",
			map[string]string{"name": x.name(i), "profile": "pump", "accessToken": x.name(i)}, nil)
	})
	each(t, x.n, func(i int) error { return x.say(i, wholeRoad[0]) }) // all of them are there
	id := x.assign(t, "bulk", "--set", fmt.Sprint("most=", flight))
	wait(t, time.Minute, "as many are offered it as may be", func() (bool, string) {
		states := x.states(t)
		return states["INITIATED"] == flight && states["QUEUED"] == x.n-flight, fmt.Sprint(states)
	})
	var offered []string
	for _, d := range x.devices(t, "pump") {
		if d.Firmware.State == "INITIATED" {
			offered = append(offered, d.Name)
		}
	}
	door := x.door(t, id)
	var first, last time.Time
	took := make([]time.Duration, flight)
	now := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	for n, name := range offered[:flight] {
		wg.Go(func() {
			<-now
			began := time.Now()
			if err := x.sayAs(name, `{"fw_state":"FAILED","fw_error":"bad flash"}`); err != nil {
				t.Error(err)
			}
			took[n] = time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			if first.IsZero() || began.Before(first) {
				first = began
			}
			if began.After(last) {
				last = began
			}
		})
	}
	close(now)
	var atStop ota.Tally
	wait(t, time.Minute, "the door shuts", func() (bool, string) {
		atStop = door()
		return atStop.Shut > 0, fmt.Sprintf("%+v", atStop)
	})
	wg.Wait()
	slices.Sort(took)
	t.Logf("%d failures were begun to be said within %v; half were acknowledged within %v, all within %v", flight, last.Sub(first), took[flight/2], took[flight-1])
	var r api.Rollout
	wait(t, time.Minute, "the rollout pauses", func() (bool, string) {
		x.ask(t, &r, "rollout", "show", id)
		return r.State == "paused", fmt.Sprintf("%+v", r)
	})
	wait(t, time.Minute, "all failures are counted", func() (bool, string) {
		tally := door()
		return tally.Failed == flight, fmt.Sprintf("%+v", tally)
	})
	end := door()
	var failed, decided int
	if _, err := fmt.Sscanf(end.Why, "%d of %d failed", &failed, &decided); err != nil {
		t.Fatal(err, end.Why)
	}
	var once sync.Mutex
	was := 0
	each(t, x.n, func(i int) error {
		var d device
		err := x.request(t.Context(), token, http.MethodGet, "/api/devices/"+x.name(i), nil, &d)
		once.Lock()
		defer once.Unlock()
		if slices.Contains(d.Firmware.states(), "INITIATED") {
			was++
		}
		return err
	})
	t.Logf("the door shut after %d failures; %d were let in then, %d in the end; %d were offered it", failed, atStop.Admitted, end.Admitted, was)
	if end.Admitted > atStop.Admitted || was != end.Admitted || end.Admitted > flight+decided {
		t.Errorf("%d were let in when the door had shut, and %d in the end; %d were offered the package; the door shut after %d, and %d may be under way", atStop.Admitted, end.Admitted, was, decided, flight)
	}
	x.recount(t)
	checkStore(t, "unix://"+filepath.Join(x.data, "redis", "redis.sock"))
}

// door reads what the door of a rollout has counted.
func (s *server) door(t *testing.T, rollout string) func() ota.Tally {
	t.Helper()
	c, err := redis.Open(t.Context(), redis.Options{URL: "unix://" + filepath.Join(s.data, "redis", "redis.sock")})
	if err != nil {
		t.Fatal(err)
	}
	store := redis.New(c)
	t.Cleanup(func() {
		store.Close()
		c.Close()
	})
	return func() ota.Tally {
		tally, err := store.Tally(t.Context(), ota.Ref{Tenant: ota.DefaultTenant, Type: ota.RolloutRef, ID: rollout})
		if err != nil {
			t.Fatal(err)
		}
		return tally
	}
}
