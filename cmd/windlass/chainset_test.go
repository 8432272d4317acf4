package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

const quietDownload = `chain: download
summary: Answers nobody.
trigger: chunk_requested
steps:
  - {node: reply_error, with: {code: not_found}}
`

// testChains is a store of chains that ends with the test.
func testChains(t *testing.T) chainStore {
	t.Helper()
	c, _ := redistest.Memory(t)
	s := redis.New(c)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAFolderReplacesAndExtendsTheShippedChains(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("mine.yaml", "chain: mine\nsummary: Is mine.\ntrigger: call\nsteps:\n  - node: save_telemetry\n")
	l, err := loadChains(t.Context(), &Config{Chains: dir, RolloutsChain: "rollout"}, engine.Deps{}, testChains(t), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var used *engine.Set
	l.use = func(s *engine.Set) { used = s }
	shipped, err := shippedChains()
	if err != nil {
		t.Fatal(err)
	}
	if got := l.set().Names(); len(got) != len(shipped)+1 || !slices.Contains(got, "mine") {
		t.Errorf("chains are %v", got)
	}

	reload := func(want ...string) {
		t.Helper()
		r, err := l.Reload(t.Context(), "", false)
		if err != nil || len(r.Faults) > 0 || !slices.Equal(r.Changed, want) {
			t.Errorf("reload: %+v, %v; want changed %v", r, err, want)
		}
	}
	reload()
	put("download.yaml", quietDownload)
	reload("download")
	if text, ok := l.Source("download"); !ok || string(text) != quietDownload || used.Chain("download").Summary != "Answers nobody." {
		t.Errorf("download is %q", text)
	}

	// A bad file leaves what runs, and says why.
	before := used
	put("download.yaml", strings.Replace(quietDownload, "reply_error", "reply_eror", 1))
	r, err := l.Reload(t.Context(), "", false)
	if err != nil || len(r.Faults) != 1 || !strings.HasPrefix(r.Faults[0], filepath.Join(dir, "download.yaml")+":5:12: ") {
		t.Errorf("a bad file: %+v, %v", r, err)
	}
	if used != before || l.set() != before || len(l.Faults()) != 1 {
		t.Error("the chains that ran do not go on")
	}
	if text, _ := l.Source("download"); string(text) != quietDownload {
		t.Error("a text is shown that does not run")
	}

	for _, f := range []string{"download.yaml", "mine.yaml"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	reload("download", "mine")
	if l.Faults() != nil {
		t.Errorf("faults stay: %v", l.Faults())
	}
	for _, c := range l.List() {
		if c.Summary == "" || c.Revision == "" || len(c.Triggers) == 0 || !strings.HasPrefix(c.File, shippedPrefix) {
			t.Errorf("%+v", c)
		}
	}
}

func TestChainsThatCannotBeLoaded(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("chain: bad\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Chains: dir, RolloutsChain: "rollout"}, "bad.yaml:1:1"},
		{Config{Chains: filepath.Join(dir, "none"), RolloutsChain: "rollout"}, "no such file"},
		{Config{Chains: filepath.Join(dir, "bad.yaml"), RolloutsChain: "rollout"}, "is no folder"},
		{Config{RolloutsChain: "rollout", ChainParams: map[string]map[string]string{"telemetri": {}}}, "there is no chain telemetri; did you mean telemetry?"},
		{Config{RolloutsChain: "download"}, `"download" is no chain that conducts rollouts; there are: rollout`},
	} {
		if _, err := loadChains(t.Context(), &c.cfg, engine.Deps{}, testChains(t), nil, log); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %s", c.cfg, err, c.want)
		}
	}
}
