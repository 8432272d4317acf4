package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// process is a server's chains, with the folder that its files lie in and what
// it has logged.
type process struct {
	*chainFolder
	t     *testing.T
	dir   string
	store chainStore
	said  *strings.Builder
}

func newProcess(t *testing.T, store chainStore, files ...string) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), store: store}
	p.put(files...)
	p.start()
	return p
}

// start begins the process, or begins it anew.
func (p *process) start() {
	p.t.Helper()
	p.said = &strings.Builder{}
	f, err := loadChains(p.t.Context(), &Config{Chains: p.dir, RolloutsChain: "rollout"}, engine.Deps{}, p.store, nil, slog.New(slog.NewTextHandler(p.said, nil)))
	if err != nil {
		p.t.Fatal(err)
	}
	p.chainFolder = f
}

func (p *process) put(files ...string) {
	p.t.Helper()
	for _, text := range files {
		name, _, _ := strings.Cut(strings.TrimPrefix(text, "chain: "), "\n")
		if err := os.WriteFile(filepath.Join(p.dir, name+".yaml"), []byte(text), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// change puts files and has them read.
func (p *process) change(files ...string) []string {
	p.t.Helper()
	p.put(files...)
	r, err := p.Reload(p.t.Context(), "", false)
	if err != nil || len(r.Faults) > 0 {
		p.t.Fatal(err, r.Faults)
	}
	return r.Changed
}

func (p *process) revert(name, revision string) api.Reverted {
	p.t.Helper()
	r, err := p.Revert(p.t.Context(), name, revision, "ann")
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *process) looks() {
	p.t.Helper()
	if err := p.look(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// runs checks which text of a chain is in force.
func (p *process) runs(name, text string) {
	p.t.Helper()
	if got, _ := p.Source(name); string(got) != text {
		p.t.Errorf("%s runs\n%s\nwant\n%s", name, got, text)
	}
}

func (p *process) digest(name string) string { return p.set().Chain(name).Digest }

// calls says what the called chain replies with, as the caller has it.
func (p *process) calls(caller, text string) {
	p.t.Helper()
	for _, f := range p.set().Chain(caller).Files() {
		if f.Chain == "sub" && f.Text == text {
			return
		}
	}
	p.t.Errorf("%s does not call\n%s", caller, text)
}

func (p *process) warning(name string) string {
	for _, c := range p.List() {
		if c.Name == name {
			return c.Warning
		}
	}
	return "no such chain"
}

func caller(name, event, step string) string {
	return "chain: " + name + "\nsummary: A test.\ntrigger: {event: " + event + ", profiles: [pump]}\nsteps: [{node: call, name: " + step + ", with: {chain: sub}}]\n"
}

func callee(n int) string {
	return fmt.Sprintf("chain: sub\nsummary: Test %d.\ntrigger: call\nsteps: [{node: save_telemetry, name: s%d}]\n", n, n)
}

func TestRevisionsGoForthAndBack(t *testing.T) {
	one, two, three := caller("mine", "telemetry", "one"), caller("mine", "telemetry", "two"), caller("mine", "telemetry", "three")
	p := newProcess(t, testChains(t), one, callee(1))
	first := p.digest("mine")
	if got := p.change(two); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("changed %v", got)
	}
	second := p.digest("mine")
	all, err := p.Revisions(t.Context(), "mine")
	if err != nil || len(all) != 2 {
		t.Fatal(err, all)
	}
	for _, r := range all {
		if r.Active != (r.Revision == second) || r.File != r.Active || r.By != "file" || r.At.IsZero() || r.Summary != "A test." {
			t.Errorf("%+v", r)
		}
	}
	text, err := p.Revision(t.Context(), "mine", first[:6])
	if err != nil || len(text.Files) != 2 || text.Files[0].YAML != one || text.Files[1].YAML != callee(1) {
		t.Errorf("%v, %+v", err, text)
	}

	if r := p.revert("mine", first[:6]); r.Revision != first || r.Was != second || !slices.Equal(r.Changed, []string{"mine"}) {
		t.Errorf("%+v", r)
	}
	p.runs("mine", one)
	if w := p.warning("mine"); !strings.Contains(w, "by ann (revert)") || !strings.Contains(w, "windlass chains revert mine "+second[:8]) || !strings.Contains(p.said.String(), "its file says revision") {
		t.Errorf("warning %q; said %s", w, p.said)
	}
	if r := p.revert("mine", first); len(r.Changed) > 0 {
		t.Errorf("reverted twice: %+v", r)
	}
	if got := p.change(); len(got) > 0 { // no file has changed
		t.Errorf("changed %v", got)
	}
	p.runs("mine", one)

	p.start()
	p.runs("mine", one)
	if !strings.Contains(p.said.String(), "its file says revision") || p.warning("mine") == "" {
		t.Errorf("a restart says nothing: %s", p.said)
	}
	p.revert("mine", second)
	p.runs("mine", two)
	if w := p.warning("mine"); w != "" {
		t.Error(w)
	}
	p.revert("mine", first)
	p.change(three)
	p.runs("mine", three)
	p.change(two) // old content, in a file that changes
	p.runs("mine", two)
	p.revert("mine", first)
	p.change(one)
	if p.runs("mine", one); p.warning("mine") != "" {
		t.Error("file and active agree, and a warning stays")
	}
	p.change(two)
	p.runs("mine", two)

	// An old file that was put back while nothing ran.
	p.put(one)
	p.start()
	if p.runs("mine", one); p.warning("mine") != "" {
		t.Error("file and active agree, and a warning stays")
	}
	p.revert("mine", second)
	p.runs("mine", two)
	if r, err := p.Reload(t.Context(), "ann", true); err != nil || !slices.Equal(r.Changed, []string{"mine"}) || p.warning("mine") != "" {
		t.Errorf("forced: %+v, %v", r, err)
	}
	p.runs("mine", one)
	// What was never published.
	p.put(caller("mine", "telemetry", "four"))
	p.start()
	p.runs("mine", caller("mine", "telemetry", "four"))

	if err := os.Remove(filepath.Join(p.dir, "mine.yaml")); err != nil {
		t.Fatal(err)
	}
	p.change()
	if p.set().Chain("mine") != nil {
		t.Error("its file is gone, and it runs")
	}
	_, err = p.Revert(t.Context(), "mine", first, "ann")
	if ota.CodeOf(err) != ota.Conflict {
		t.Errorf("a way back without a file: %v", err)
	}
	for _, bad := range []string{"", "zz"} {
		if _, err := p.Revert(t.Context(), "sub", bad, "ann"); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("revision %q: %v", bad, err)
		}
	}
	if _, err := p.Revert(t.Context(), "none", first, "ann"); ota.CodeOf(err) != ota.NotFound {
		t.Errorf("no such chain: %v", err)
	}
}

// TestProcessesAgree: what one process publishes or takes back, the others run.
func TestProcessesAgree(t *testing.T) {
	store := testChains(t)
	one, two := caller("mine", "telemetry", "one"), caller("mine", "telemetry", "two")
	a, b := newProcess(t, store, one, callee(1)), newProcess(t, store, one, callee(1))
	b.looks()
	used := 0
	b.use = func(*engine.Set) { used++ }
	b.looks()
	a.change(two)
	a.runs("mine", two)
	b.looks()
	b.runs("mine", two)
	if b.warning("mine") == "" || used == 0 || a.warning("mine") != "" {
		t.Errorf("warnings %q and %q, used %d times", a.warning("mine"), b.warning("mine"), used)
	}
	revisions, err := a.Revisions(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	a.revert("mine", revisions[1].Revision)
	b.change(two) // the same file comes to the other process later: it undoes nothing
	a.looks()
	a.runs("mine", one)
	b.runs("mine", one)
	n := used
	b.looks()
	b.looks()
	if used > n+1 {
		t.Errorf("nothing has changed, and %d sets were used", used-n)
	}

	// One that starts with the file that was taken back leaves it so; one that
	// starts with another than was brought last makes that active, old or new.
	c := newProcess(t, store, two, callee(1))
	if c.runs("mine", one); c.warning("mine") == "" {
		t.Error("no warning")
	}
	three := caller("mine", "telemetry", "three")
	for _, text := range []string{three, two} {
		newProcess(t, store, text, callee(1)).runs("mine", text)
		a.looks()
		a.runs("mine", text)
	}
}

// TestAStoreThatForgets: a Redis that has lost its last seconds, or all, is told
// again what is in force.
func TestAStoreThatForgets(t *testing.T) {
	c, m := redistest.Memory(t)
	store := redis.New(c)
	t.Cleanup(func() { _ = store.Close() })
	one, two, three := caller("mine", "telemetry", "one"), caller("mine", "telemetry", "two"), caller("mine", "telemetry", "three")
	p := newProcess(t, store, one, callee(1))
	first := p.digest("mine")
	p.change(two)
	p.looks()
	was, err := store.ActiveChains(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	before := m.HGet("{chains}:active", "mine")
	p.change(three)
	m.HSet("{chains}:active", "mine", before)
	if err := m.Set("{chains}:mark", was.Mark); err != nil {
		t.Fatal(err)
	}
	m.Del("{chains}:rev:" + p.digest("mine"))
	p.looks()
	p.runs("mine", three)
	if is, err := store.ActiveChains(t.Context(), ""); err != nil || is.Chains["mine"].Digest != p.digest("mine") {
		t.Errorf("%v, %+v", err, is)
	}
	if _, err := store.KeptChain(t.Context(), p.digest("mine")); err != nil {
		t.Error(err)
	}

	p.revert("mine", first)
	m.FlushAll()
	p.looks()
	p.runs("mine", one)
	if all, err := p.Revisions(t.Context(), "mine"); err != nil || len(all) != 1 || !all[0].Active {
		t.Errorf("%v, %+v", err, all)
	}
}

// TestCallersFollow: whoever calls a chain that is taken back calls it as it was.
func TestCallersFollow(t *testing.T) {
	x, y := caller("x", "telemetry", "one"), caller("y", "connected", "one")
	p := newProcess(t, testChains(t), x, y, callee(1))
	sub, was := p.digest("sub"), p.digest("x")
	if got := p.change(callee(2)); !slices.Equal(got, []string{"sub", "x", "y"}) {
		t.Errorf("changed %v", got)
	}
	if r := p.revert("sub", sub); !slices.Equal(r.Changed, []string{"sub", "x", "y"}) || p.digest("x") != was {
		t.Errorf("%+v", r)
	}
	p.calls("x", callee(1))
	p.calls("y", callee(1))
	p.change(callee(3))
	p.calls("x", callee(3))
	p.calls("y", callee(3))

	// x is taken back by itself, to another text: what it calls may change, x stays.
	p.change(caller("x", "telemetry", "two"))
	p.revert("x", was)
	p.calls("x", callee(1))
	p.calls("y", callee(3))
	p.change(callee(4))
	p.runs("x", x)
	p.calls("x", callee(1))
	p.calls("y", callee(4))
	p.change(caller("x", "telemetry", "three"))
	p.calls("x", callee(4))
}

// TestActiveThatCannotBeLoaded: a running process keeps what it has; one that
// starts runs its file, says so, and takes the revision once it can.
func TestActiveThatCannotBeLoaded(t *testing.T) {
	store := testChains(t)
	one := caller("mine", "telemetry", "one")
	p := newProcess(t, store, one, callee(1))
	p.looks()
	activate := func(digest string) {
		is, err := store.ActiveChains(t.Context(), "")
		if err == nil {
			mine := is.Chains["mine"]
			_, err = store.ActivateChains(t.Context(), is.Mark, []ota.ActiveChain{{Chain: "mine", Digest: digest, File: mine.File, At: mine.At.Add(time.Minute), By: "another"}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bad := ota.ChainRevision{Chain: "mine", Digest: "beefbeefbeefbeef", Files: []ota.ChainFile{{Chain: "mine", Name: "mine.yaml", Text: strings.Replace(one, "node: call", "node: recall", 1)}}}
	if err := store.KeepChain(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	activate(bad.Digest)
	for range 2 {
		p.looks()
	}
	p.runs("mine", one)
	if f := p.Faults(); len(f) != 1 || !strings.Contains(f[0], "mine.yaml@beefbeef:4:") || strings.Count(p.said.String(), "have faults here") != 1 {
		t.Errorf("faults %v; said %s", f, p.said)
	}
	p.start()
	p.runs("mine", one)
	if w := p.warning("mine"); !strings.Contains(w, "cannot load") || !strings.Contains(p.said.String(), "there is no node recall") {
		t.Errorf("%q; said %s", w, p.said)
	}
	r, err := p.Revert(t.Context(), "mine", p.digest("mine"), "ann")
	if err != nil || p.warning("mine") != "" {
		t.Errorf("%+v, %v, %q", r, err, p.warning("mine"))
	}
	if r, err := p.Revert(t.Context(), "mine", bad.Digest, "ann"); err != nil || len(r.Faults) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	p.runs("mine", one)
}

// busyStore is away as long as it is told.
type busyStore struct {
	chainStore
	away bool
}

func (s *busyStore) ActiveChains(ctx context.Context, mark string) (ota.ActiveChains, error) {
	if s.away {
		return ota.ActiveChains{}, ota.Errorf(ota.Busy, "read the active chains", "redis is away")
	}
	return s.chainStore.ActiveChains(ctx, mark)
}

// TestReloadWhileTheStoreIsAway: a file that changes then is not forgotten.
func TestReloadWhileTheStoreIsAway(t *testing.T) {
	one, two := caller("mine", "telemetry", "one"), caller("mine", "telemetry", "two")
	store := &busyStore{chainStore: testChains(t)}
	p := newProcess(t, store, one, callee(1))
	store.away = true
	p.put(two)
	if _, err := p.Reload(t.Context(), "", false); ota.CodeOf(err) != ota.Busy {
		t.Fatal(err)
	}
	if err := p.look(t.Context()); ota.CodeOf(err) != ota.Busy {
		t.Fatal(err)
	}
	p.runs("mine", one)
	store.away = false
	p.looks()
	p.runs("mine", two)
}
