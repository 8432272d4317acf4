package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The chains are the logic: a changed file changes what the server does, and a
// bad one changes nothing.
func TestReplaceChain(t *testing.T) {
	t.Parallel()
	random := randomFor(t)
	dir := filepath.Join(t.TempDir(), "chains")
	export := command(t, nil, nil, t.TempDir(), binary, "chains", "export", dir, "--shipped")
	if export.code != 0 {
		t.Fatalf("chains export: exit code %d\n%s%s", export.code, export.out, export.err)
	}
	if r := command(t, nil, nil, "", binary, "validate", dir); r.code != 0 {
		t.Fatalf("the exported chains have faults:\n%s%s", r.out, r.err)
	}
	s := run(t, "", "--set", "offers.pace=unlimited", "--chains", dir)
	s.do(t, "profile", "create", "pump")
	s.do(t, "device", "create", "pump-1", "--profile", "pump", "--access-token", "T1")
	file, data := randomFile(t, random, 5000)
	s.upload(t, file, "app", "1.2", "pump")
	s.do(t, "assign", "app@1.2", "--profile", "pump")

	ask := url.Values{"title": {"app"}, "version": {"1.2"}, "size": {"1000"}, "chunk": {"4"}}
	served := func(when string) {
		t.Helper()
		code, got := s.get(t, "T1", "firmware", ask)
		if code != http.StatusOK || string(got) != string(data[4000:]) {
			t.Errorf("%s: a chunk is answered by %d with %d bytes, want 200 with the last 1000", when, code, len(got))
		}
	}
	served("as shipped")

	download := filepath.Join(dir, "download.yaml")
	shipped, err := os.ReadFile(download)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(download, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Chunks of a kilobyte were fine; now 512 bytes are the most one may ask for.
	changed := strings.Replace(string(shipped), "node: send_chunk,", "node: send_chunk, with: {max_size: 512B},", 1)
	if changed == string(shipped) {
		t.Fatal("download.yaml has no send_chunk to change")
	}
	write(changed)
	served("changed, not yet reloaded")
	if out := s.do(t, "chains", "reload"); !strings.Contains(out, "download") {
		t.Errorf("reload does not name the changed chain: %s", out)
	}
	if code, _ := s.get(t, "T1", "firmware", ask); code != http.StatusBadRequest {
		t.Errorf("a chunk above the chain's limit is answered by %d, want 400", code)
	}

	// A bad file is refused, with its place, and the last good one stays.
	write(strings.Replace(changed, "node: send_chunk", "node: send_chnk", 1))
	r := s.try(t, "chains", "reload")
	if r.code != 1 || !strings.Contains(r.err, "download.yaml:") || !strings.Contains(r.err, "send_chnk") {
		t.Errorf("reload of a bad file: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if code, _ := s.get(t, "T1", "firmware", ask); code != http.StatusBadRequest {
		t.Errorf("after a bad file a chunk is answered by %d, want 400 as before", code)
	}

	write(string(shipped))
	s.do(t, "chains", "reload")
	served("as shipped again")
}

// A device that falls silent is asked again as often as the chain says, and then
// its update has failed. The chains' patience is cut to seconds here.
func TestSilentDevice(t *testing.T) {
	t.Parallel()
	random := randomFor(t)
	dir := changedChains(t, map[string][2]string{
		"report.yaml":        {"DOWNLOADING: 1h", "DOWNLOADING: 1s"},
		"state_timeout.yaml": {"attempts: 3, backoff: 5m", "attempts: 2, backoff: 1s"},
	})
	s := run(t, "", "--set", "offers.pace=unlimited", "--chains", dir)
	s.do(t, "profile", "create", "pump")
	s.do(t, "device", "create", "pump-1", "--profile", "pump", "--access-token", "T1")
	file, _ := randomFile(t, random, 5000)
	s.upload(t, file, "app", "1.2", "pump")
	s.attributes(t, "T1") // it is there, so that it is offered the package
	s.do(t, "assign", "app@1.2", "--device", "pump-1")
	road := func(want ...string) track {
		t.Helper()
		var u track
		wait(t, 20*time.Second, "history "+strings.Join(want, " → "), func() (bool, string) {
			u = s.device(t, "pump-1").Firmware
			return slices.Equal(u.states(), want), fmt.Sprintf("%+v", u)
		})
		return u
	}
	says := func() {
		t.Helper()
		r := command(t, nil, nil, "", "curl", "--silent", "--fail", "--data", `{"fw_state":"DOWNLOADING"}`, "http://"+s.http+"/api/v1/T1/telemetry")
		if r.code != 0 {
			t.Fatalf("curl: exit code %d", r.code)
		}
	}
	road("QUEUED", "INITIATED")
	says()
	road("QUEUED", "INITIATED", "DOWNLOADING", "QUEUED", "INITIATED")
	says()
	u := road("QUEUED", "INITIATED", "DOWNLOADING", "QUEUED", "INITIATED", "DOWNLOADING", "FAILED")
	if u.Error != "no word in DOWNLOADING for 1s" {
		t.Errorf("it failed because of %q", u.Error)
	}
	s.recount(t)
}

// changedChains is a folder with the shipped chains, in some of which one piece
// of text is another.
func changedChains(t *testing.T, changes map[string][2]string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "chains")
	if r := command(t, nil, nil, "", binary, "chains", "export", dir, "--shipped"); r.code != 0 {
		t.Fatal(r.err)
	}
	for file, change := range changes {
		path := filepath.Join(dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), change[0]) != 1 {
			t.Fatalf("%s does not say %q once", file, change[0])
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
