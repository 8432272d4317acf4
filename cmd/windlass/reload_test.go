package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
)

// TestWatch edits a chain's file under a running server: a good file is used, a
// bad one leaves the last good one and says why, and SIGHUP loads too.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "extra.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = "chain: extra\nsummary: A test.\ntrigger: {event: telemetry, profiles: [lamp]}\nsteps: [{node: save_telemetry}]\n"
	write(file, good)
	c := &Config{Chains: dir, RolloutsChain: "rollout"}
	s, err := loadChains(t.Context(), c, engine.Deps{}, testChains(t), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	used := make(chan *engine.Set, 8)
	s.use = func(set *engine.Set) { used <- set }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.watch(ctx) }()
	next := func(what string) *engine.Set {
		t.Helper()
		select {
		case set := <-used:
			return set
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing was loaded", what)
			return nil
		}
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); {
			if time.Now().After(end) {
				t.Fatal(what)
			}
			syscall.Kill(syscall.Getpid(), syscall.SIGHUP) //nolint:errcheck // to ourselves
			<-time.After(20 * time.Millisecond)
		}
	}
	was := s.set().Chain("extra").Digest
	// The watcher may not be up yet: SIGHUP is heard as soon as it is, and its
	// default, before that, would end this process. So the first change waits
	// for the folder to be watched, which a new file in it shows.
	write(filepath.Join(dir, "more.yaml"), strings.Replace(strings.Replace(good, "extra", "more", 1), "lamp", "bell", 1))
	for i := 0; s.set().Chain("more") == nil; i++ {
		select {
		case <-used:
		case <-time.After(500 * time.Millisecond):
			write(filepath.Join(dir, "more.yaml"), strings.Replace(strings.Replace(good, "extra", "more", 1), "lamp", "bell", 1))
		}
		if i > 20 {
			t.Fatal("a new file was never loaded")
		}
	}
	write(file, strings.Replace(good, "A test.", "Another test.", 1))
	if set := next("a changed file"); set.Chain("extra").Digest == was {
		t.Error("the old text still runs")
	}
	write(file, strings.Replace(good, "save_telemetry", "save_telemetri", 1))
	eventually("the fault was never said", func() bool {
		return slices.ContainsFunc(s.Faults(), func(f string) bool {
			return strings.Contains(f, "extra.yaml:4:") && strings.Contains(f, "save_telemetry")
		})
	})
	if s.set().Chain("extra") == nil {
		t.Error("a bad file took the good chain away")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually("a deleted file's chain still runs", func() bool { return s.set().Chain("extra") == nil && s.Faults() == nil })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
