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

// countingChain answers the telemetry of the profile: it moves the update and
// counts the message on the device itself, under the name of its version.
const countingChain = `chain: counted
summary: Moves an update, and counts what it has heard, as version %[1]s.
trigger: {event: telemetry, profiles: [pump]}
steps:
  - {node: call, name: firmware, with: {chain: report, args: {kind: firmware}}}
  - {node: get_attributes, name: heard_%[1]s, with: {scope: shared, keys: [%[1]s]}}
  - node: set_attributes
    with: {scope: shared, push: false, values: {%[1]s: "${number(steps.heard_%[1]s.values.%[1]s, 0) + 1}"}}
`

// reports of a device on its whole road. The first is its first word: then it
// is offered the package.
var wholeRoad = []string{
	`{"go":1,"current_fw_title":"app","current_fw_version":"1.1"}`, `{"fw_state":"DOWNLOADING"}`, `{"fw_state":"DOWNLOADED"}`, `{"fw_state":"UPDATING"}`,
	`{"fw_state":"UPDATED","current_fw_title":"app","current_fw_version":"1.2"}`,
}

// A fleet is in the middle of its updates while the chain that hears it is
// replaced a hundred times, every fifth time by one that is wrong. Each message
// is heard once, by one version or the other.
func TestReloadInFlight(t *testing.T) {
	t.Parallel()
	const reloads, wrong = 100, 20
	x := &inFlight{file: filepath.Join(t.TempDir(), "counted.yaml"), n: sized(10_000, 500)}
	x.write(t, 0)
	x.server = run(t, "", "--set", "offers.pace=unlimited", "--chains", filepath.Dir(x.file))
	x.do(t, "profile", "create", "pump")
	image, _ := randomFile(t, randomFor(t), 5000)
	x.upload(t, image, "app", "1.2", "pump")
	token := x.token(t)
	each(t, x.n, func(i int) error {
		return x.request(t.Context(), token, http.MethodPost, "/api/devices",
			map[string]string{"name": x.name(i), "profile": "pump", "accessToken": x.name(i)}, nil)
	})
	x.do(t, "assign", "app@1.2", "--profile", "pump")

	due := make(chan int, reloads) // a reload for each hundredth of the messages
	refused := make(chan int, 1)
	go func() { refused <- x.reload(t, token, due) }()
	x.speak(t, reloads, due)
	close(due)
	if got := <-refused; got != wrong {
		t.Errorf("%d of %d reloads were refused, want %d", got, reloads, wrong)
	}
	x.assertHeardOnce(t)
	x.recount(t)
	if letters := x.do(t, "deadletter", "list", "--output", "json"); strings.TrimSpace(letters) != "[]" {
		t.Errorf("dead letters: %s", letters)
	}
}

// inFlight is a fleet of n devices that speak HTTP, and the file of the chain
// that hears them.
type inFlight struct {
	*server
	file   string
	n      int
	client http.Client
}

// name is a device's name, and its token.
func (x *inFlight) name(i int) string { return fmt.Sprintf("pump-%05d", i) }

// write puts version i of the chain into its file.
func (x *inFlight) write(t *testing.T, i int) {
	text := fmt.Sprintf(countingChain, []string{"odd", "even"}[i%2])
	if i%5 == 4 {
		text = strings.Replace(text, "to: ", "too: ", 1) + "  - {node: no_such_node}\n"
	}
	if err := os.WriteFile(x.file, []byte(text), 0o600); err != nil {
		t.Error(err)
	}
}

// reload puts the next version in the place of the last for each that is due,
// and returns how many of them the server refused.
func (x *inFlight) reload(t *testing.T, token string, due <-chan int) (refused int) {
	for i := range due {
		x.write(t, i)
		if err := x.request(t.Context(), token, http.MethodPost, "/api/chains/reload", nil, nil); err != nil {
			refused++
		}
	}
	return refused
}

// speak lets every device say all of its road, each report after the last, and
// makes a reload due a number of times on the way.
func (x *inFlight) speak(t *testing.T, reloads int, due chan<- int) {
	t.Helper()
	var heard atomic.Int64
	every := int64(len(wholeRoad) * x.n / reloads)
	for round, report := range wholeRoad {
		if round == 1 {
			wait(t, time.Minute, "all devices are offered the package", func() (bool, string) {
				states := x.states(t)
				return states["INITIATED"] == x.n, fmt.Sprint(states)
			})
		}
		each(t, x.n, func(i int) error {
			res, err := x.client.Post("http://"+x.http+"/api/v1/"+x.name(i)+"/telemetry", "application/json", strings.NewReader(report))
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s is answered by %s", x.name(i), report, res.Status)
			}
			if h := heard.Add(1); h%every == 0 {
				due <- int(h / every)
			}
			return nil
		})
	}
}

// states are the numbers of devices by the state of their firmware.
func (x *inFlight) states(t *testing.T) map[string]int {
	t.Helper()
	var status map[string]map[string]int
	x.ask(t, &status, "status")
	return status["firmware"]
}

// assertHeardOnce reads what the chain has counted on every device.
func (x *inFlight) assertHeardOnce(t *testing.T) {
	t.Helper()
	var odd, even atomic.Int64
	each(t, x.n, func(i int) error {
		res, err := x.client.Get("http://" + x.http + "/api/v1/" + x.name(i) + "/attributes?sharedKeys=odd,even")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var got struct{ Shared struct{ Odd, Even int } }
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
			return fmt.Errorf("%s: %w", x.name(i), err)
		}
		odd.Add(int64(got.Shared.Odd))
		even.Add(int64(got.Shared.Even))
		if sum := got.Shared.Odd + got.Shared.Even; sum != len(wholeRoad) {
			t.Errorf("%s: %d of %d messages were heard", x.name(i), sum, len(wholeRoad))
		}
		return nil
	})
	t.Logf("%d messages were heard by one version, %d by the other", odd.Load(), even.Load())
	if odd.Load() == 0 || even.Load() == 0 {
		t.Error("one of the two versions has heard nothing")
	}
	if got := x.states(t); got["UPDATED"] != x.n {
		t.Errorf("%d devices and their states: %v", x.n, got)
	}
}
