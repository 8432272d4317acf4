package engine

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// TestSchemaWords holds the words that the schema explains against those that
// the loader knows.
func TestSchemaWords(t *testing.T) {
	for _, w := range append(sortedKeys(eventWords()), wordCall) {
		if eventDocs[w] == "" {
			t.Errorf("event %s has no help", w)
		}
	}
	if n := len(eventWords()) + 1; len(eventDocs) != n {
		t.Errorf("help for %d events, of which there are %d", len(eventDocs), n)
	}
	for _, w := range paramTypes {
		if typeDocs[string(w)] == "" {
			t.Errorf("type %s has no help", w)
		}
		if s := typeSchema(w, false); len(s) == 0 && w != AnyType {
			t.Errorf("type %s has no schema", w)
		}
	}
	for _, root := range fieldRoots() {
		faults := &faultList{}
		rd := &reader{newSource(Source{Name: "a.yaml"}), faults}
		n, _ := yamlx.Parse([]byte(root + ": {a: text}\n"))
		if rd.fields(&doc{}, n); faults.count() > 0 {
			t.Errorf("fields have no root %s", root)
		}
	}
	chain := (schemaMaker{&Registry{}}).chain()["properties"].(js)
	for _, key := range chainKeys {
		if chain[key] == nil {
			t.Errorf("the schema lacks the key %s", key)
		}
	}
	step := (schemaMaker{&Registry{}}).step()["properties"].(js)
	for _, key := range stepKeys {
		if step[key] == nil {
			t.Errorf("the schema of a step lacks the key %s", key)
		}
	}
	retry := schemaMaker{}.retry()["properties"].(js)
	for key, p := range retry {
		if p.(js)["description"] == "" {
			t.Errorf("retry.%s has no help", key)
		}
	}
}

func TestSchemaIsTheSameEachTime(t *testing.T) {
	reg, err := NewRegistry(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Schema(reg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Schema(reg)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("two schemas of one registry differ (%v)", err)
	}
}

// FuzzLiteralForms: what the loader reads, the schema lets pass.
func FuzzLiteralForms(f *testing.F) {
	for _, s := range []string{"0", "500ms", "1h30m", "1.5h", ".5s", "3d", "2w", "4KiB", "1.5MiB", "512", "2%", "100%", " 2.5 %", "100.0%", "099%", "100/1m", "10/1h30m", "unlimited", "2026-12-01T02:00:00Z", "2026-12-01T02:00:00.5+02:00"} {
		f.Add(s)
	}
	forms := map[Type]*regexp.Regexp{}
	for t, l := range literalForms {
		forms[t] = regexp.MustCompile("^(?:" + l.form + ")$")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "+-eExX_pP") && !strings.Contains(s, "T") {
			return // signs and exponents, which nobody writes
		}
		for typ, re := range forms {
			if _, err := readText(typ, s); err == nil && !re.MatchString(s) {
				t.Errorf("%q is a %s, and does not fit %s", s, typ, re)
			}
		}
	})
}
