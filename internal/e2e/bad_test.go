package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var faultLine = regexp.MustCompile(`^(?:.*/)?([^/:\s]+\.yaml:\d+:\d+: .* \([a-z_]+\))$`)

// faultsOf are the lines of a text that name a fault, without folders, sorted.
func faultsOf(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if m := faultLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return out
}

// Every fault that was planted in testdata/bad is named at its line and column,
// all at once. What was planted stands beside each file.
func TestBadChains(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(testdata(t, "bad", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no chains with faults: %v", err)
	}
	var want []string
	for _, f := range files {
		b, err := os.ReadFile(strings.TrimSuffix(f, ".yaml") + ".faults")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, faultsOf(string(b))...) // none in a file that only helps another to be wrong
	}
	slices.Sort(want)
	if len(want) < len(files) {
		t.Fatalf("%d faults are planted in %d files", len(want), len(files))
	}
	config := filepath.Join(t.TempDir(), "windlass.yaml") // some of them speak to a broker of the house
	if err := os.WriteFile(config, []byte("brokers: {plant: {url: \"mqtt://127.0.0.1:1883\"}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, nil, nil, t.TempDir(), binary, append([]string{"validate", "--config", config}, files...)...)
	if r.code != 1 {
		t.Errorf("exit code %d, want 1\n%s", r.code, r.err)
	}
	if diff := cmp.Diff(want, faultsOf(r.out)); diff != "" {
		t.Errorf("faults of %d files (-planted +named):\n%s", len(files), diff)
	}
}
