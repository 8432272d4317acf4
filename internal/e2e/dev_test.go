package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"
)

// A row of `windlass status`: its columns are the states in order.
var (
	firmwareLine = regexp.MustCompile(`(?m)^firmware(?:\s+\d+){8}\s*$`)
	allUpdated   = regexp.MustCompile(`(?m)^firmware(?:\s+0){6}\s+50\s+0\s*$`)
)

// In an empty folder `windlass dev` is a whole server with a fleet that updates
// itself, and ends without leaving anything running.
func TestDev(t *testing.T) {
	t.Parallel()
	began := time.Now()
	cmd := exec.Command(binary, "dev", "--devices", "50", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--coap", "127.0.0.1:0")
	cmd.Dir, cmd.Env = t.TempDir(), environment()
	s := &server{process: begin(t, "windlass dev", cmd), data: filepath.Join(cmd.Dir, "windlass-data")}
	s.awaitReady(t)
	look := exec.Command(binary, "status", "--watch", "--type", "firmware")
	look.Dir, look.Env = cmd.Dir, environment()
	watch := begin(t, "windlass status --watch", look)
	s.awaitCount(t, 2*time.Minute-time.Since(began), "UPDATED", 50)
	t.Logf("50 devices UPDATED after %v", time.Since(began).Round(time.Second))
	wait(t, 10*time.Second, "status --watch showing the end", func() (bool, string) {
		said := watch.log.String()
		return allUpdated.MatchString(said), said
	})
	if n := len(slices.Compact(firmwareLine.FindAllString(watch.log.String(), -1))); n < 5 {
		t.Errorf("status --watch showed %d different counts on the way, want the fleet moving", n)
	}
	watch.kill()
	s.recount(t)
	for _, d := range s.devices(t, "") {
		if u := d.Firmware; u.State != "UPDATED" || u.Current != u.Target {
			t.Errorf("%s: %+v", d.Name, u)
		}
	}
	// The verbs find the server of the folder they are called in.
	if r := command(t, nil, nil, cmd.Dir, binary, "status"); r.code != 0 {
		t.Errorf("windlass status in the folder: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	below := children(t, s.cmd.Process.Pid)
	s.stop(t, stopWithin)
	if len(below) == 0 {
		t.Error("the server had no child: it ran without a redis-server of its own")
	}
	for pid, name := range below {
		wait(t, 5*time.Second, fmt.Sprintf("end of %s (%d), a child of the server", name, pid), func() (bool, string) {
			_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
			return err != nil, "it runs"
		})
	}
}
