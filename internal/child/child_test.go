package child

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func sh(t *testing.T, env []string, script string) *Process {
	t.Helper()
	p, err := Start(t.TempDir(), env, "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestProcess(t *testing.T) {
	t.Setenv("WINDLASS_HTTP", "hidden")
	p := sh(t, []string{"OWN=seen"}, `echo "ready http=${WINDLASS_HTTP:-none} own=$OWN"; echo more >&2; exec sleep 60`)
	line, err := p.Line(t.Context(), time.Minute, "ready ")
	if err != nil || line != "ready http=none own=seen" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := Eventually(t.Context(), time.Minute, func() (bool, error) { return strings.Contains(p.Said.String(), "more\n"), nil }); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
	if exit := (*exec.ExitError)(nil); !errors.As(p.Err(), &exit) {
		t.Errorf("it ended with %v", p.Err())
	}
}

// What a process has started ends with it.
func TestKillReachesAll(t *testing.T) {
	p := sh(t, nil, `sleep 60 & echo begun; wait`)
	if _, err := p.Line(t.Context(), time.Minute, "begun"); err != nil {
		t.Fatal(err)
	}
	p.Kill() // which would wait for the outputs that the second one holds
}

func TestLineOfOneThatEnds(t *testing.T) {
	p := sh(t, nil, "echo no such thing; exit 3")
	if _, err := p.Line(t.Context(), time.Minute, "ready"); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("%v", err)
	}
	if _, err := Start("", nil, "/no/such/program"); err == nil {
		t.Error("a program that is not there was started")
	}
	if err := Eventually(t.Context(), 1, func() (bool, error) { return false, nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
