package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
	"github.com/windlass-ota/windlass/store/redis"
)

// bulk lets everybody in who has room.
const bulk = `chain: bulk
summary: One stage, and one limit.
trigger: rollout
params: {most: {type: int, default: 100}}
steps: [{node: run_stage, name: everyone, with: {share: 100%, max_failed: 10%, min_decided: 20, max_in_flight: "${params.most}"}}]
`

// canaryFleet starts a server with the conductors and makes a fleet of which a
// share fails.
func canaryFleet(t *testing.T, random *rand.Rand, n int, share float64) (*server, *fleet, int) {
	t.Helper()
	s := run(t, "", "--chains", conductors(t), "--set", "offers.pace=unlimited", "--set", "redis_fsync=always")
	f, bad := badFleet(t, s, random, n, share)
	return s, f, bad
}

// conductors is a folder of the canary that is shown to everybody, and of bulk.
func conductors(t *testing.T) string {
	t.Helper()
	canary, err := os.ReadFile(filepath.Join("..", "..", "chains", "examples", "canary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"canary.yaml": string(canary), "bulk.yaml": bulk} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// badFleet makes a package and a fleet of which a share fails.
func badFleet(t *testing.T, s *server, random *rand.Rand, n int, share float64) (*fleet, int) {
	t.Helper()
	s.do(t, "profile", "create", "pump")
	file, _ := randomFile(t, random, 30_000)
	s.upload(t, file, "app", "1.2", "pump")
	f := newFleet(t, s, "pump", n)
	bad := 0
	for _, d := range f.devices {
		if random.Float64() < share {
			d.Behaves.Fails = "bad flash"
			bad++
		}
	}
	return f, bad
}

// playKilled plays a fleet and kills the server at random moments of it, until
// the rollout is as wanted.
func playKilled(t *testing.T, s *server, f *fleet, random *rand.Rand, rollout string, times int, between time.Duration, ended func(api.Rollout) bool) api.Rollout {
	t.Helper()
	patience := whole(20*time.Minute, 4*time.Minute, 4*time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		sim.Play(ctx, f.devices)
	}()
	var r api.Rollout
	for range times {
		pause := time.NewTimer(time.Duration(random.Int64N(int64(between))))
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatal("the time is over")
		}
		s.kill()
		s.again(t)
	}
	wait(t, patience, "the end of the rollout", func() (bool, string) {
		s.ask(t, &r, "rollout", "show", rollout)
		return ended(r), fmt.Sprintf("%+v", r)
	})
	cancel()
	<-over
	return r
}

func (s *server) assign(t *testing.T, chain string, more ...string) string {
	t.Helper()
	var a api.AssignDone
	s.ask(t, &a, append([]string{"assign", "app@1.2", "--profile", "pump", "--chain", chain}, more...)...)
	return a.Rollout
}

// The canary goes on to its end although one device in twenty fails and the
// server is killed ten times: each device is counted once.
func TestCanaryReachesAll(t *testing.T) {
	t.Parallel()
	alone(t)
	random := randomFor(t)
	n := whole(20_000, 4000, 300)
	s, f, bad := canaryFleet(t, random, n, 0.05)
	began := time.Now()
	id := s.assign(t, "canary", "--set", "soak=1s", "--set", "max_failed=50%")
	r := playKilled(t, s, f, random, id, kills, time.Duration(whole(20, 4, 4))*time.Second, func(r api.Rollout) bool {
		return r.State == "finished" && r.Counts.Decided() == n || r.State == "paused"
	})
	t.Logf("%d devices of which %d fail, %d kills: %v", n, bad, kills, time.Since(began).Round(time.Second))
	if r.State != "finished" || r.Counts.Members != n || r.Counts.Updated != n-bad || r.Counts.Failed != bad || r.Counts.Silent+r.Counts.Skipped+r.Counts.Waiting > 0 {
		t.Errorf("of %d devices of which %d fail the rollout counts %+v, and is %s: %s", n, bad, r.Counts, r.State, r.Reason)
	}
	url := "unix://" + filepath.Join(s.data, "redis", "redis.sock")
	assertDoor(t, url, id, ota.Tally{Admitted: n, Updated: n - bad, Failed: bad})
	s.recount(t)
	checkStore(t, url)
}

// The canary stops where more than 2 % of a stage fail, though the server is
// killed ten times: not more devices fail than those that crossed the limit, and
// those that were under way. Where the way back is denied, all that wait leave.
func TestCanaryIsStopped(t *testing.T) {
	t.Parallel()
	alone(t)
	random := randomFor(t)
	n := whole(20_000, 4000, 300)
	s, f, bad := canaryFleet(t, random, n, 0.05)
	for _, d := range f.devices { // so that some are under way when it is killed
		d.Behaves.Slow = time.Duration(random.Int64N(int64(5 * time.Second)))
	}
	began := time.Now()
	id := s.assign(t, "canary", "--set", "soak=1s")
	r := playKilled(t, s, f, random, id, kills, 4*time.Second, func(r api.Rollout) bool {
		return (r.Stopped == "failed" && r.Approval != "" || r.State != "running") && r.Counts.InFlight == 0
	})
	took, most := time.Since(began).Round(time.Second), 0
	for _, stage := range r.Stages {
		if stage.Name == r.Stage {
			most = stage.MaxInFlight
		}
	}
	var failed, decided int
	if _, err := fmt.Sscanf(r.Reason, "%d of %d failed", &failed, &decided); err != nil {
		t.Fatalf("it is %s, stopped since %q", r.State, r.Reason)
	}
	c := r.Counts
	t.Logf("%d devices of which %d fail, %d kills: stopped in stage %s after %v: %s; in all %+v", n, bad, kills, r.Stage, took, r.Reason, c)
	earlier := before(r)
	if c.Failed+c.Silent > earlier+failed+most || c.Waiting != n-c.Decided() || c.Members != n {
		t.Errorf("it was stopped when %d of %d had failed, %d before that stage, and %d might be under way; now it counts %+v", failed, decided, earlier, most, c)
	}
	url := "unix://" + filepath.Join(s.data, "redis", "redis.sock")
	assertDoor(t, url, id, ota.Tally{Admitted: c.Decided(), Updated: c.Updated, Failed: c.Failed, Silent: c.Silent})
	s.recount(t)
	if r.State == "running" {
		s.do(t, "approval", "deny", r.Approval)
		wait(t, time.Minute, "all that wait leave", func() (bool, string) {
			s.ask(t, &r, "rollout", "show", id)
			return r.State == "cancelled" && r.Counts.Waiting == 0 && r.Counts.Skipped == n-c.Decided(), fmt.Sprintf("%+v", r)
		})
	}
	s.recount(t)
	checkStore(t, url)
}

// before is how many devices may have failed in the stages that passed.
func before(r api.Rollout) (failed int) {
	for _, stage := range r.Stages {
		if stage.Name == r.Stage {
			break
		}
		failed = max(failed, int(stage.MaxFailed*max(stage.Share*float64(r.Counts.Members), float64(stage.AtLeast))))
	}
	return failed
}

// Two servers share the work, and one of them is frozen for longer than its
// leases last: what it does when it thaws is refused, and each device is counted
// once all the same.
func TestCanaryFrozenServer(t *testing.T) {
	t.Parallel()
	alone(t)
	random := randomFor(t)
	dir, port, n := t.TempDir(), freePort(t), whole(20_000, 1500, 200)
	beginRedis(t, dir, port)
	url := fmt.Sprintf("redis://127.0.0.1:%d", port)
	more := []string{"--redis", url, "--chains", conductors(t), "--set", "offers.pace=unlimited"}
	s := run(t, "", more...) // to which the devices speak
	other := run(t, "", more...)
	f, bad := badFleet(t, s, random, n, 0.05)
	for _, d := range f.devices {
		d.Behaves.Slow = time.Duration(random.Int64N(int64(3 * time.Second)))
	}
	id := s.assign(t, "canary", "--set", "soak=1s", "--set", "max_failed=50%")
	thawed := make(chan struct{})
	go func() {
		defer close(thawed)
		time.AfterFunc(5*time.Second, func() { _ = other.cmd.Process.Signal(syscall.SIGSTOP) })
		thaw := time.NewTimer(5*time.Second + sized(30*time.Second, 14*time.Second))
		<-thaw.C
		_ = other.cmd.Process.Signal(syscall.SIGCONT)
	}()
	r := playKilled(t, s, f, random, id, 0, 0, func(r api.Rollout) bool {
		return r.State == "finished" && r.Counts.Decided() == n || r.State == "paused"
	})
	<-thawed
	if r.State != "finished" || r.Counts.Updated != n-bad || r.Counts.Failed != bad {
		t.Errorf("of %d devices of which %d fail the rollout counts %+v, and is %s: %s", n, bad, r.Counts, r.State, r.Reason)
	}
	assertDoor(t, url, id, ota.Tally{Admitted: n, Updated: n - bad, Failed: bad})
	s.recount(t)
	checkStore(t, url)
}

// A bad build is stopped while the server is killed: not more devices fail than
// those that crossed the limit, and those that were under way.
func TestCanaryBadBuild(t *testing.T) {
	t.Parallel()
	alone(t)
	random := randomFor(t)
	n, most := whole(20_000, 1000, 300), 40
	s, f, _ := canaryFleet(t, random, n, 0.3)
	for _, d := range f.devices { // so that it takes a while
		d.Behaves.Slow = time.Duration(random.Int64N(int64(10 * time.Second)))
	}
	id := s.assign(t, "bulk", "--set", fmt.Sprint("most=", most))
	r := playKilled(t, s, f, random, id, kills, 2*time.Second, func(r api.Rollout) bool { return r.State == "paused" && r.Counts.InFlight == 0 })
	var failed, decided int
	if _, err := fmt.Sscanf(r.Reason, "%d of %d failed", &failed, &decided); err != nil {
		t.Fatalf("it is paused since %q", r.Reason)
	}
	c := r.Counts
	t.Logf("stopped: %s; in all %+v", r.Reason, c)
	if c.Failed+c.Silent > failed+most || c.Decided() > decided+most {
		t.Errorf("it was stopped when %d of %d had failed, and now %d of %d have: %d may have been under way", failed, decided, c.Failed+c.Silent, c.Decided(), most)
	}
	if c.Waiting != n-c.Decided() || c.Members != n {
		t.Errorf("of %d devices: %+v", n, c)
	}
	url := "unix://" + filepath.Join(s.data, "redis", "redis.sock")
	assertDoor(t, url, id, ota.Tally{Admitted: c.Decided(), Updated: c.Updated, Failed: c.Failed, Silent: c.Silent})
	s.recount(t)
	checkStore(t, url)
}

// assertDoor compares what the door of a rollout has counted with what devices
// have come to.
func assertDoor(t *testing.T, url, id string, want ota.Tally) {
	t.Helper()
	c, err := redis.Open(t.Context(), redis.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	store := redis.New(c)
	defer store.Close()
	wait(t, time.Minute, "the last messages to the door", func() (bool, string) {
		got, err := store.Tally(t.Context(), ota.Ref{Tenant: ota.DefaultTenant, Type: ota.RolloutRef, ID: id})
		got.Shut, got.Why = 0, ""
		return err == nil && got == want, fmt.Sprintf("the door has counted %+v, want %+v, %v", got, want, err)
	})
}
