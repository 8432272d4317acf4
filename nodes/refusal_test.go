package nodes_test

import (
	"strings"
	"testing"
)

// refusal is settings that a node does not take, and a part of what is said.
type refusal struct{ with, want string }

// refused holds what the loader says of a chain with such settings.
func refused(t *testing.T, chain func(with string) string, all []refusal) {
	t.Helper()
	for _, x := range all {
		t.Run(x.with, func(t *testing.T) {
			if got := faultsOf(t, chain(x.with)); !strings.Contains(got, x.want) {
				t.Errorf("faults %q, want one that says %q", got, x.want)
			}
		})
	}
}
