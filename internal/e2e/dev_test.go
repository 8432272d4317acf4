package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// In an empty folder `windlass dev` is a whole server with a fleet that updates
// itself, and ends without leaving anything running.
func TestDev(t *testing.T) {
	t.Parallel()
	began := time.Now()
	cmd := exec.Command(binary, "dev", "--devices", "50", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
	cmd.Dir, cmd.Env = t.TempDir(), environment()
	s := &server{process: begin(t, "windlass dev", cmd), data: filepath.Join(cmd.Dir, "windlass-data")}
	s.awaitReady(t)
	s.awaitCount(t, 2*time.Minute-time.Since(began), "UPDATED", 50)
	t.Logf("50 devices UPDATED after %v", time.Since(began).Round(time.Second))
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
