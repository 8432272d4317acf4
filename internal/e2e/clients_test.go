package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// client is a device made of an ordinary tool.
type client struct {
	device string
	script string
	http   bool
	more   []string
}

var clients = []client{
	{device: "by-curl", script: "curl.sh", http: true},
	{device: "by-mosquitto", script: "mosquitto.sh"},
	{device: "by-paho", script: "device_paho.py", more: []string{"4"}},
	{device: "by-paho-5", script: "device_paho.py", more: []string{"5"}},
}

// pythonWithPaho is the interpreter that has paho: the system's packages go to
// the system's Python, which need not be the first on the path.
func pythonWithPaho(t *testing.T) string {
	t.Helper()
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import paho.mqtt.client").Run() == nil {
			return p
		}
	}
	t.Fatal("no python3 has paho; `make test` installs it")
	return ""
}

// start begins one update of the device, which runs app at the version given.
func (c client) start(t *testing.T, s *server, python string, chunk int64, runs, image string) *process {
	t.Helper()
	at := s.mqtt
	if c.http {
		at = "http://" + s.http
	}
	args := append([]string{testdata(t, "clients", c.script), at, c.device, fmt.Sprint(chunk), "app", runs, image}, c.more...)
	if strings.HasSuffix(c.script, ".py") {
		args = append([]string{python}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment("PYTHON=" + python)
	cmd.Stdout = &output{}
	return begin(t, c.device, cmd)
}

// One 3 MiB package for each checksum algorithm; clients of four kinds fetch
// them in pieces of every size, and end on the new version by the good road.
// Each client has each size once in the first four rounds; the rest are there
// for the algorithms that are left.
func TestClients(t *testing.T) {
	t.Parallel()
	random := randomFor(t)
	python := pythonWithPaho(t)
	s := run(t, "", "--set", "offers.pace=unlimited")
	s.do(t, "profile", "create", "pump")
	for _, c := range clients {
		s.do(t, "device", "create", c.device, "--profile", "pump", "--access-token", c.device)
	}
	sizes := []int64{1000, 4 << 10, 64 << 10, 0}
	dir := t.TempDir()
	runs := "1.0"
	for round, algorithm := range ota.ChecksumAlgorithms() {
		file, data := randomFile(t, random, sized[int64](3<<20, 300_000))
		began := time.Now()
		target := version{"app", "2." + fmt.Sprint(round)}
		players := make([]*process, len(clients))
		images := make([]string, len(clients))
		for i, c := range clients {
			size := sizes[(round+i)%len(sizes)]
			if round >= len(sizes) { // each has had each
				size = 64 << 10
			}
			images[i] = filepath.Join(dir, fmt.Sprint(c.device, round))
			players[i] = c.start(t, s, python, size, runs, images[i])
		}
		s.upload(t, file, target.Title, target.Version, "pump", "--checksum-algorithm", string(algorithm))
		s.do(t, "assign", target.Title+"@"+target.Version, "--profile", "pump")
		for i, c := range clients {
			p := players[i]
			select {
			case <-p.done:
			case <-time.After(3 * time.Minute):
				t.Fatalf("%s is not done with %s", c.device, algorithm)
			}
			if p.err != nil {
				t.Fatalf("%s, %s: %v", c.device, algorithm, p.err)
			}
			got, err := os.ReadFile(images[i])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("%s, %s: the image of %d bytes differs from the package's %d", c.device, algorithm, len(got), len(data))
			}
			// At QoS 0 the last report may still be on its way.
			wait(t, 10*time.Second, c.device+" UPDATED", func() (bool, string) {
				u := s.device(t, c.device).Firmware
				return u.State == "UPDATED" && u.Target == target, fmt.Sprintf("%+v", u)
			})
			s.assertRoad(t, c.device, target, "profile")
		}
		t.Logf("%s: %v", algorithm, time.Since(began).Round(10*time.Millisecond))
		runs = target.Version
	}
	s.recount(t)
}

// The scripts' own arithmetic, without a server.
func TestClientScripts(t *testing.T) {
	t.Parallel()
	python := pythonWithPaho(t)
	t.Run("checksums", func(t *testing.T) {
		random := randomFor(t)
		for n := range int64(20) { // every length of a tail
			file, data := randomFile(t, random, 60+n)
			for _, a := range ota.ChecksumAlgorithms() {
				r := command(t, nil, nil, "", python, testdata(t, "clients", "checksum.py"), string(a), file)
				if got := strings.TrimSpace(r.out); r.code != 0 || got != a.Sum(data) {
					t.Errorf("%s of %d bytes: %q %s, want %s", a, len(data), got, r.err, a.Sum(data))
				}
			}
		}
	})
	shell := func(t *testing.T, script string) string {
		t.Helper()
		r := command(t, nil, nil, testdata(t, "clients"), "bash", "-euc", ". ./device.sh; "+script)
		if r.code != 0 {
			t.Fatalf("%s: exit code %d: %s", script, r.code, r.err)
		}
		return strings.TrimSpace(r.out)
	}
	const answer = `{"client":{"fw_size":9},"shared":{"fw_title":"a pump","fw_version":"1.10","fw_size":3145728, "fw_checksum" : "00ff"}}`
	tests := []struct{ name, script, want string }{
		{"a string", `text fw_title '` + answer + `'`, "a pump"},
		{"a string that looks like a number", `text fw_version '` + answer + `'`, "1.10"},
		{"spaces", `text fw_checksum '` + answer + `'`, "00ff"},
		{"a number", `number fw_size '` + strings.TrimPrefix(answer, `{"client":{"fw_size":9},`) + `'`, "3145728"},
		{"a string is no number", `number fw_version '` + answer + `'`, ""},
		{"nothing", `text fw_title '{}'; number fw_size '{}'`, ""},
		{"a name within a name", `text title '` + answer + `'`, ""},
		{"pieces, the last one short", `pieces 3145728 1000`, "3146"},
		{"pieces, the last one full", `pieces 3145728 4096`, "768"},
		{"whole", `pieces 3145728 0`, "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := shell(t, tt.script); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
