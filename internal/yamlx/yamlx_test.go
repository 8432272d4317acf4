package yamlx

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlaces(t *testing.T) {
	n, problems := Parse([]byte("a: x\nb:\n  - {ключ: \"q\", d: 'e'}\n  - >-\n    folded\n    text\nc: *none\n"))
	if n != nil || len(problems) != 1 {
		t.Fatalf("an unknown anchor is %v, %v", n, problems)
	}
	n, problems = Parse([]byte("a: x\nb:\n  - {ключ: \"q\", d: 'e'}\n  - >-\n    folded\n    text\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	type place struct {
		Text          string
		Line, Col     int
		Quoted, Block bool
	}
	var got []place
	var walk func(n *Node)
	walk = func(n *Node) {
		if n.Kind == Scalar {
			got = append(got, place{n.Text, n.Line, n.Col, n.Quoted, n.Block})
		}
		for _, p := range n.Pairs {
			walk(p.Key)
			walk(p.Value)
		}
		for _, x := range n.Items {
			walk(x)
		}
	}
	walk(n)
	want := []place{
		{"a", 1, 1, false, false}, {"x", 1, 4, false, false}, {"b", 2, 1, false, false}, {"ключ", 3, 6, false, false}, {"q", 3, 12, true, false},
		{"d", 3, 17, false, false}, {"e", 3, 20, true, false}, {"folded text", 4, 5, true, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

func TestValue(t *testing.T) {
	var v any
	err := Unmarshal([]byte("n: 12\nf: 1.50\nt: \"12\"\nb: true\nyes: yes\non: on\nnull: ~\nempty:\nd: 2026-11-24\nhex: 0x10\nunder: 1_000\nver: 1.2.3\nneg: -4\nexp: 1e3\ninf: .inf\nlist: [1, {a: b}]\nanchor: &x [1]\nalias: *x\n"), &v)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"n": 12, "f": 1.5, "t": "12", "b": true, "yes": "yes", "on": "on", "null": nil, "empty": nil, "d": "2026-11-24", "hex": "0x10", "under": "1_000", "ver": "1.2.3", "neg": -4, "exp": 1000.0, "inf": ".inf",
		"list": []any{1, map[string]any{"a": "b"}}, "anchor": []any{1}, "alias": []any{1},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("value (-want +got):\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"key twice", "a: 1\nb: 2\na: 3\n", `3:1 key "a" is given twice, first in line 1`},
		{"key twice in flow", "x: {a: 1, a: 2}\n", `1:11 key "a" is given twice, first in line 1`},
		{"merge", "x: &x {a: 1}\ny: {<<: *x}\n", "2:5 merge keys (<<) are not allowed; an alias may stand for a whole value"},
		{"tag", "x: !!str 1\n", "1:4 tag !!str; tags are not allowed, the field decides the type (put quotes round a text that starts with !)"},
		{"own tag", "x: !not y\n", "1:4 tag !not; tags are not allowed, the field decides the type (put quotes round a text that starts with !)"},
		{"second document", "a: 1\n---\nb: 2\n", "2:1 a second document; write one to a file"},
		{"map as a key", "{a: b}: c\n", "1:1 a key is plain text; text with ${…} within {…} needs quotes"},
		{"key is missing", ": a\n", "1:1 the indentation does not fit the lines above"},
		{"expression in flow", "steps:\n  - {node: log, with: {message: ${a.b}}}\n", "2:33 within {…} put quotes round text that holds ${, a comma, a bracket or a ?"},
		{"question in flow", "steps:\n  - {node: filter, with: {if: (a ?? 1) < 2}}\n", "2:35 within {…} put quotes round text that holds ${, a comma, a bracket or a ?"},
		{"colon in an expression", "with:\n  if: a ? b: c\n", `2:7 text that holds ": " needs quotes, or >- and a line of its own`},
		{"starts with a quote", "with:\n  if: \"a\" == b\n", `2:7 text that starts with " needs quotes, or >- and a line of its own`},
		{"starts with a bracket", "with:\n  if: [1, 2] == b\n", `2:7 text that starts with [ needs quotes, or >- and a line of its own`},
		{"starts with a mark", "with:\n  if: !online\n  x: @y\n", `3:6 text that starts with @ needs quotes, or >- and a line of its own`},
		{"tab", "a:\n\tb: 1\n", "2:2 a tab cannot indent; use spaces"},
		{"bracket not closed", "a: [1, 2\nb: 3\n", "1:4 a quote or bracket is not closed"},
		{"indent", "a:\n  b: 1\n c: 2\n", "3:2 the indentation does not fit the lines above"},
		{"quote not closed", "a: \"b\n", "1:4 a quote or bracket is not closed"},
		{"not UTF-8", "a: 1\nb: \xff\n", "2:1 the file is not UTF-8"},
		{"too big", "a: " + strings.Repeat("x", MaxSize), "1:1 the file has 1048579 bytes, 1 MiB at most!"},
		{"too deep", strings.Repeat("[", 33) + strings.Repeat("]", 33), "1:33 nested deeper than 32!"},
		{"much too deep", strings.Repeat("[", 100_000), "1:1 nested deeper than 32!"},
		{"itself", "a: &x [1, *x]\n", "1:11 *x stands within itself!"},
		{"too many aliases", "a: &x 1\nb: [" + strings.Repeat("*x, ", 101) + "1]\n", "2:405 more than 100 aliases!"},
		{"aliases of aliases", "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "more than 20000 nodes"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			_, problems := Parse([]byte(x.text))
			if len(problems) == 0 {
				t.Fatal("no problem is found")
			}
			got := strings.TrimPrefix(problems[0].Error(), "line ")
			got = strings.Replace(got, ": ", ":"+itoa(problems[0].Col)+" ", 1)
			if problems[0].TooLarge {
				got += "!"
			}
			if x.name == "aliases of aliases" && strings.Contains(got, x.want) {
				return
			}
			if got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
		})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestEmptyDocuments(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n", "---\n"} {
		n, problems := Parse([]byte(text))
		if len(problems) > 0 || !n.Null() {
			t.Errorf("%q is %v, %v", text, n, problems)
		}
	}
}

func TestUnmarshalTellsAll(t *testing.T) {
	var v any
	err := Unmarshal([]byte("a: 1\na: 2\nb: !!str 3\n"), &v)
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 2 || !strings.Contains(err.Error(), "line 2: key") {
		t.Errorf("error %v", err)
	}
}

// FuzzParse: a document is a tree within its bounds, or problems with places.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1\n", "{a: [b, {c: d}]}", "a: &x [1]\nb: *x\n", "a: |\n  text\n", "a: !!binary aGk=\n", "? a\n: b\n", "%YAML 1.2\n---\na: 1\n", "- - - a\n", "a: \"\\u0041\"\n", "<<: x\n", "a: ${b}\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, problems := Parse(data)
		for _, p := range problems {
			if p.Line < 1 || p.Col < 1 || p.Message == "" {
				t.Errorf("problem %+v", p)
			}
		}
		nodes := 0
		var walk func(n *Node, depth int)
		walk = func(n *Node, depth int) {
			if n == nil {
				t.Fatal("a node is nil")
			}
			if nodes++; nodes > MaxNodes || depth > MaxDepth {
				t.Fatalf("%d nodes, depth %d", nodes, depth)
			}
			seen := map[string]bool{}
			for _, p := range n.Pairs {
				if seen[p.Key.Text] {
					t.Fatalf("key %q stands twice", p.Key.Text)
				}
				seen[p.Key.Text] = true
				walk(p.Key, depth+1)
				walk(p.Value, depth+1)
			}
			for _, x := range n.Items {
				walk(x, depth+1)
			}
		}
		if n != nil {
			walk(n, 1)
			_ = n.Value()
		}
	})
}
