package mqtt

import "testing"

func TestCovers(t *testing.T) {
	tests := []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"a/+", "a/b", true}, {"a/+", "a/b/c", false}, {"a/+/c", "a/b/c", true},
		{"a/#", "a/b/c", true}, {"a/#", "a", true}, {"a/b/#", "a", false}, {"a/b/#", "a/b", true}, {"a/+/#", "a/b", true},
	}
	for _, tt := range tests {
		if got := (subscription{grant: &grant{filter: tt.filter}}).covers(tt.topic); got != tt.want {
			t.Errorf("%s covers %s: %v", tt.filter, tt.topic, got)
		}
	}
}
