package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	good, bad, away := result{}, result{err: errors.New("no")}, result{away: "there is no java"}
	tests := []struct {
		name    string
		results []result
		strict  bool
		want    string
	}{
		{"all well", []result{good, good}, true, ""},
		{"one failed", []result{good, bad}, false, "1 of 2 clients failed"},
		{"one is not to be had", []result{good, away}, false, ""},
		{"one is not to be had, and has to be", []result{good, away}, true, "1 of 2 clients are not available"},
		{"nothing was to be had", []result{away}, false, "no client was tried"},
		{"nothing matched", nil, false, "no client was tried"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := verdict(tt.results, tt.strict); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	c := client{name: "paho", protocol: "MQTT 5.0", needed: "a|b"}
	rows := []result{
		{client: c, version: "2.2.0", took: 1230 * time.Millisecond},
		{client: c, err: errors.New("it fell\nsilent")},
		{client: c, away: "there is no python3"},
	}
	var b strings.Builder
	if err := writeMarkdown(&b, rows, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2026-01-02, ",
		`| paho | 2.2.0 | MQTT 5.0 | UPDATED, equal | 1.23 | a\|b |`,
		`| paho |  | MQTT 5.0 | FAILED: it fell | – | a\|b |`,
		`| paho |  | MQTT 5.0 | not available: there is no python3 | – | a\|b |`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// Every client has its driver and its recipe, and can be told from the others.
func TestClients(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range clients {
		row := c.name + ", " + c.protocol
		if seen[row] {
			t.Errorf("%s: twice", row)
		}
		seen[row] = true
		for _, f := range append([]string{filepath.Join("..", "..", c.driver)}, c.kit.files...) {
			if _, err := os.Stat(f); err != nil {
				t.Errorf("%s: %v", row, err)
			}
		}
	}
}

var address = regexp.MustCompile(`https?://[a-z0-9.-]+`)

// Where packages come from is for the package managers to know.
func TestNoAddresses(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, a := range address.FindAllString(string(b), -1) {
			t.Errorf("%s names %s", path, a)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
