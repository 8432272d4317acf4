package arch

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// The tree as it is keeps the rules as they are written.
func TestTree(t *testing.T) {
	root := os.DirFS("../..")
	table := readTable(t, root)
	found, err := Check(root, table)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}

// The table itself must keep saying what the design stands on; a row that was
// widened by accident would silence TestTree.
func TestTableKeepsItsCore(t *testing.T) {
	table := readTable(t, os.DirFS("../.."))
	want := map[string]string{
		"ota":           "",
		"engine":        "ota internal/yamlx",
		"nodes":         "ota engine",
		"plugins":       "ota engine",
		"transports":    "ota",
		"store":         "ota",
		"sim":           "ota internal/mqttwire internal/coapwire internal/coapx internal/lwm2mwire",
		"api":           "ota engine",
		"web":           "",
		"chains":        "",
		"internal/arch": "", "internal/yamlx": "",
		"internal/refdoc": "engine nodes chains internal/graph internal/yamlx",
	}
	for folder, may := range want {
		r, ok := table.rows[folder]
		if got := strings.Join(r.may, " "); !ok || r.all || r.noGo || got != may {
			t.Errorf("row %s: may import %q (found %v, all %v), want %q", folder, got, ok, r.all, may)
		}
	}
	if diff := cmp.Diff([]string{"internal/yamlx"}, table.libraries["gopkg.in/yaml.v3"]); diff != "" {
		t.Errorf("home of gopkg.in/yaml.v3 (-want +got):\n%s", diff)
	}
}

func readTable(t *testing.T, root fs.FS) *Table {
	t.Helper()
	f, err := root.Open(TablePath)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := ReadTable(f)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const plantedTable = "# A\n\n## Folders\n\n" +
	"| Folder | Holds | May import | Its tests also |\n| --- | :-- | --- | --: |\n" +
	"| `ota` | nouns | nothing | – |\n" +
	"| `engine/` | chains | `ota` | – |\n" +
	"| `nodes` | nodes | `ota`, `engine`, `nodes/*` | `chains` |\n" +
	"| `store` | stores | `ota` | – |\n" +
	"| `chains` | YAML | nothing | – |\n" +
	"| `cmd/w` | the binary | all | – |\n" +
	"| `internal/yamlx` | YAML | nothing | – |\n" +
	"| `docs`, `deploy` | guides | – | – |\n" +
	"| `*_test.go` | tests | `store/redis`, `store/storetest` | – |\n\n" +
	"## Libraries with one home\n\n| Module | Imported by |\n| --- | --- |\n| `yaml.example/v3` | `internal/yamlx` |\n"

func TestCheckFindsWhatIsPlanted(t *testing.T) {
	const rule = " (docs/architecture.md)"
	tests := []struct {
		name, file, imports string
		want                string // what follows the file's name and line
	}{
		{"the nouns import nothing", "ota/a.go", "m/engine", "imports m/engine: ota may import nothing of ours" + rule},
		{"what the row allows", "engine/a.go", "m/ota", ""},
		{"upwards", "engine/a.go", "m/nodes", "imports m/nodes: engine may import only ota" + rule},
		{"a folder below has the row of the one above", "engine/deep/er/a.go", "m/nodes", "imports m/nodes: engine may import only ota" + rule},
		{"a folder below an allowed one is not allowed", "nodes/a.go", "m/ota/sub", "imports m/ota/sub: nodes may import only engine, nodes/*, ota" + rule},
		{"its own top folder", "store/redis/a.go", "m/store", ""},
		{"a sibling", "store/facts/a.go", "m/store/redis", "imports m/store/redis: store/facts and m/store/redis are siblings; below store each stands alone and may import store itself" + rule},
		{"a sibling, from a suite", "store/storetest/a.go", "m/store/facts", "imports m/store/facts: store/storetest and m/store/facts are siblings; below store each stands alone and may import store itself" + rule},
		{"a name that merely begins alike", "ota/a.go", "m/otaku", "imports m/otaku: ota may import nothing of ours" + rule},
		{"another module that merely begins alike", "ota/a.go", "module.example/x", ""},
		{"the top may import below where its row says so", "nodes/a.go", "m/nodes/big", ""},
		{"and those below do not know each other by that", "nodes/small/a.go", "m/nodes/big", "imports m/nodes/big: nodes/small and m/nodes/big are siblings; below nodes each stands alone and may import nodes itself" + rule},
		{"the root", "engine/a.go", "m", "imports m: the root of the module holds no package"},
		{"the binary knows all", "cmd/w/a.go", "m/store/redis", ""},
		{"a test may import the store", "engine/a_test.go", "m/store/redis", ""},
		{"a test may import a sibling that tests may", "store/facts/a_test.go", "m/store/redis", ""},
		{"a test may import what its own row adds", "nodes/a_test.go", "m/chains", ""},
		{"another's test may not", "engine/a_test.go", "m/chains", "imports m/chains: a test in engine may import only ota, store/redis, store/storetest" + rule},
		{"a file that is no test may not", "nodes/a.go", "m/chains", "imports m/chains: nodes may import only engine, nodes/*, ota" + rule},
		{"a suite is a test", "engine/enginetest/a.go", "m/store/redis", ""},
		{"a folder that merely ends in test is not", "engine/latest/a.go", "m/store/redis", "imports m/store/redis: engine may import only ota" + rule},
		{"a library at home", "internal/yamlx/a.go", "yaml.example/v3", ""},
		{"a library elsewhere", "engine/a.go", "yaml.example/v3", "imports yaml.example/v3: this library has its home in internal/yamlx; no other folder may import it" + rule},
		{"a package of a library elsewhere, from a test of the binary", "cmd/w/a_test.go", "yaml.example/v3/node", "imports yaml.example/v3/node: this library has its home in internal/yamlx; no other folder may import it" + rule},
		{"the library's longer namesake", "engine/a.go", "yaml.example/v31", ""},
		{"behind a build tag", "ota/a_windows.go", "m/engine", "imports m/engine: ota may import nothing of ours" + rule},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imports := strings.ReplaceAll(tt.imports, "m/", "example.com/mod/")
			if tt.imports == "m" {
				imports = "example.com/mod"
			}
			var want []string
			if tt.want != "" {
				text := strings.ReplaceAll(tt.want, "imports m", "imports example.com/mod")
				want = []string{tt.file + ":5: " + strings.ReplaceAll(text, " and m/", " and ")}
			}
			got := planted(t, fstest.MapFS{tt.file: {Data: []byte("package p\n\nimport (\n\t\"fmt\"\n\tx \"" + imports + "\"\n)\n")}})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckFindsFoldersWithoutARow(t *testing.T) {
	const why = ": holds Go, and the table has no row for that: give it a row in docs/architecture.md first"
	src := &fstest.MapFile{Data: []byte("package p\n")}
	got := planted(t, fstest.MapFS{
		"main.go": src, "util/a.go": src, "util/b.go": src, "internal/x/a.go": src, "docs/a.go": src,
		// None of these is a package of the module.
		"tools/go.mod": {Data: []byte("module tools\n")}, "tools/a.go": src, ".ci/a.go": src, "_old/a.go": src, "ota/testdata/a.go": src, "deploy/a.yaml": {},
	})
	want := []string{"docs" + why, "internal/x" + why, "." + why, "util" + why}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestReadTableRefuses(t *testing.T) {
	tests := []struct {
		name, old, new, want string
	}{
		{"no tables", "## ", "## Other ", "a table is missing"},
		{"no row of the tests", "`*_test.go`", "`tests`", "a table is missing"},
		{"an unknown word", "| nothing |", "| everything |", `docs/architecture.md:7: folder "ota": want folders in backquotes`},
		{"a folder twice", "`engine/`", "`ota`", `docs/architecture.md:8: folder "ota" has two rows`},
		{"a cell too few", "| – |\n| `nodes`", "|\n| `nodes`", `docs/architecture.md:8: row "engine/" has 3 cells, want 4`},
		{"a folder without backquotes", "`cmd/w`", "cmd/w", `docs/architecture.md:12: row "cmd/w" names no folder`},
		{"tests that may import all", "`chains` |", "all |", `docs/architecture.md:9: folder "nodes": tests:`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadTable(strings.NewReader(strings.Replace(plantedTable, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func planted(t *testing.T, files fstest.MapFS) []string {
	t.Helper()
	files["go.mod"] = &fstest.MapFile{Data: []byte("module example.com/mod\n\ngo 1.26\n")}
	table, err := ReadTable(strings.NewReader(plantedTable))
	if err != nil {
		t.Fatal(err)
	}
	found, err := Check(files, table)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range found {
		got = append(got, v.String())
	}
	return got
}
