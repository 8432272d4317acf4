package e2e

import (
	"strings"
	"testing"
)

// The comparison that the kill tests stand on.
func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		part, all string
		want      bool
	}{
		{"", "QUEUED", true},
		{"DOWNLOADING UPDATED", "QUEUED INITIATED DOWNLOADING DOWNLOADED UPDATED", true},
		{"DOWNLOADED DOWNLOADING DOWNLOADED", "DOWNLOADING DOWNLOADED DOWNLOADING DOWNLOADED", true},
		{"DOWNLOADED DOWNLOADING", "DOWNLOADING DOWNLOADED", false},
		{"DOWNLOADING VERIFIED", "DOWNLOADING DOWNLOADED UPDATING", false},
		{"UPDATED UPDATED", "UPDATED", false},
	} {
		if got := within(strings.Fields(tt.part), strings.Fields(tt.all)); got != tt.want {
			t.Errorf("%q within %q: %v", tt.part, tt.all, got)
		}
	}
}
