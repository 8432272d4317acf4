package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestShipped is what `make typos` runs.
func TestShipped(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out, "../../chains", "../../testdata/typos.txt"); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestPlants shows what is planted in one file, in both of YAML's shapes.
func TestPlants(t *testing.T) {
	src := `chain: aab   # a comment with a ] in it
trigger: {event: up}
steps:
  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
  - node: go     # goes
    to:
      up: xy

  # about the last
  - node: rest
branches:
  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
`
	want := `1:8 name: aba for aab
-chain: aab   # a comment with a ] in it
+chain: aba   # a comment with a ] in it
2:18 event: pu for up
-trigger: {event: up}
+trigger: {event: pu}
4:13 node: asy for say
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
+  - {node: "asy", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
4:41 name: smg for msg
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
+  - {node: "say", with: {text: "it's [${smg.ab}]"}, to: {no: xy}}
4:45 name: ba for ab
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
+  - {node: "say", with: {text: "it's [${msg.ba}]"}, to: {no: xy}}
4:58 outlet: on for no
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
+  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {on: xy}}
4:62 target: yx for xy
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
+  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: yx}}
4:58 exit: say without its outlet no
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
+  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {}}
5:11 node: og for go
-  - node: go     # goes
+  - node: og     # goes
7:7 outlet: pu for up
-      up: xy
+      pu: xy
7:11 target: yx for xy
-      up: xy
+      up: yx
7:7 exit: go without its outlet up
-      up: xy
-
10:11 node: erst for rest
-  - node: rest
+  - node: erst
4:5 step: without say
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
5:5 step: without go
-  - node: go     # goes
-    to:
-      up: xy
-
5:5 order: go before say
-  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
-  - node: go     # goes
-    to:
-      up: xy
-
+  - node: go     # goes
+    to:
+      up: xy
+
+  - {node: "say", with: {text: "it's [${msg.ab}]"}, to: {no: xy}}
10:5 step: without rest
-  - node: rest
10:5 order: rest before go
-  - node: go     # goes
-    to:
-      up: xy
-
-  # about the last
-  - node: rest
+  - node: rest
+  # about the last
+  - node: go     # goes
+    to:
+      up: xy
+
12:3 name: yx for xy
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  yx: [{node: la, to: {é: a, ou: b}}, {node: lo}]
12:15 node: al for la
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: al, to: {é: a, ou: b}}, {node: lo}]
12:30 outlet: uo for ou
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: la, to: {é: a, uo: b}}, {node: lo}]
12:24 exit: la without its outlet é
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: la, to: {ou: b}}, {node: lo}]
12:30 exit: la without its outlet ou
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: la, to: {é: a}}, {node: lo}]
12:46 node: ol for lo
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: la, to: {é: a, ou: b}}, {node: ol}]
12:8 step: without la
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: lo}]
12:39 step: without lo
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: la, to: {é: a, ou: b}}]
12:39 order: lo before la
-  xy: [{node: la, to: {é: a, ou: b}}, {node: lo}]
+  xy: [{node: lo}, {node: la, to: {é: a, ou: b}}]
`
	all, err := plants([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, p := range all {
		if p.kind != ofKey { // there are many, all alike
			fmt.Fprintf(&got, "%d:%d %s: %s\n%s", p.line, p.col, p.kind, p.what, changed(src, string(p.text)))
		}
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("plants (-want +got):\n%s", diff)
	}
}

// TestExamples judges an example in the place of the shipped chain whose event
// it takes; tests are no chains.
func TestExamples(t *testing.T) {
	chain := func(name, event string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("chain: " + name + "\nsummary: A test.\ntrigger: " + event + "\nsteps: [{node: save_telemetry}]\n")}
	}
	dir := fstest.MapFS{
		"kept.yaml":              chain("kept", "telemetry"),
		"examples/own.yaml":      chain("own", "telemetry"),
		"examples/own_test.yaml": &fstest.MapFile{Data: []byte("cases: []\n")},
	}
	j, err := newJudge()
	if err != nil {
		t.Fatal(err)
	}
	if err := j.folder(dir); err != nil {
		t.Fatal(err)
	}
	if got := sum(j.planted, allKinds); got != 18 || len(j.through) > 0 {
		t.Errorf("%d plants, let through %q, want 18 and none", got, j.through)
	}
	dir["examples/own.yaml"] = chain("own", "telemetri")
	if err := j.folder(dir); err == nil || !strings.Contains(err.Error(), "examples/own.yaml has faults of its own") {
		t.Errorf("a faulty example gives %v", err)
	}
}

// TestCompare holds verdicts against lists.
func TestCompare(t *testing.T) {
	line := "a.yaml:1:1 step: without go"
	tests := []struct {
		name, list string
		v          verdicts
		want       string // part of the complaint; "": none
	}{
		{"listed", "# why\n\n" + line + " # it is whole\n", verdicts{through: []string{line}}, ""},
		{"not listed", "", verdicts{through: []string{line}}, "not in the list: " + line},
		{"refused by now", line + " # it is whole", verdicts{}, "refused or not planted now: " + line},
		{"without a reason", line + " #", verdicts{}, "no reason"},
		{"twice", line + " # a\n" + line + " # b", verdicts{}, "there already"},
		{"an open outlet", line + " # a", verdicts{through: []string{line}, required: []string{line}}, "must be wired"},
		{"just enough words", "", verdicts{planted: map[string]int{ofKey: 50, ofName: 50, stepGone: 9}, refused: map[string]int{ofKey: 50, ofName: 48}}, ""},
		{"too few words", "", verdicts{planted: map[string]int{ofKey: 50, ofName: 50}, refused: map[string]int{ofKey: 50, ofName: 47}}, "of 100 misspelt words 97"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			listed, err := readList(x.list)
			if err == nil {
				err = x.v.compare(listed)
			}
			if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
				t.Errorf("got %v, want %q", err, x.want)
			}
		})
	}
}

// changed lists the lines that only one of two texts has at its place, with
// what they share at both ends left out.
func changed(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	var out strings.Builder
	for _, l := range x {
		out.WriteString("-" + l + "\n")
	}
	for _, l := range y {
		out.WriteString("+" + l + "\n")
	}
	return out.String()
}
