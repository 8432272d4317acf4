package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

func TestPageIsFresh(t *testing.T) {
	want, err := os.ReadFile("../../nodes/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := Page(&got, append(nodes.All(engine.Deps{}), engine.FlowFactories()...)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("nodes/README.md is out of date; run make gen")
	}
}

func TestPage(t *testing.T) {
	type config struct {
		Size engine.Size `yaml:"size"`
		Word engine.Text `yaml:"word"`
	}
	f := engine.Define(engine.Spec{
		Name: "shake_tree", Summary: "Shakes a tree.", Doc: "Hard | soft.", Subject: engine.Device, Writes: true,
		Needs:   []engine.Root{engine.RootPackage},
		Outlets: []engine.Outlet{{Name: "fell", Sets: []engine.Root{engine.RootUpdate}}, {Name: "held", MayEnd: true, Doc: "a|b"}},
		Fields: []engine.Field{
			{Key: "size", Doc: "How large."}, {Key: "word", Doc: "Which.", Required: true, Enum: []string{"one", "two"}},
		},
		Outputs: []engine.Output{{Name: "apples", Type: engine.IntType, Doc: "how many"}},
		Example: "chain: x\n",
	}, config{Size: engine.Lit(engine.Bytes(4))}, func(config) (engine.Node, error) { return nil, nil })
	var page bytes.Buffer
	if err := Page(&page, []engine.Factory{f}); err != nil {
		t.Fatal(err)
	}
	want := "| Node | About | Outlets | Does |\n| --- | --- | --- | --- |\n" +
		"| [`shake_tree`](#shake_tree) | device | **`fell`** `held`° | Shakes a tree. |\n" +
		"\n## shake_tree\n\nShakes a tree.\n\nHard | soft.\n\nAbout: device · needs `package` · writes\n" +
		"\n| Setting | Type | Default | |\n| --- | --- | --- | --- |\n| `size` | size | `4` | How large. |\n| `word` | `one`, `two` | *required* | Which. |\n" +
		"\n| Outlet | Sets | |\n| --- | --- | --- |\n| **`fell`** | `update` |  |\n| `held`° |  | a\\|b |\n" +
		"\n| Output | Type | |\n| --- | --- | --- |\n| `steps.NAME.apples` | int | how many |\n" +
		"\n```yaml\nchain: x\n```\n"
	if got, ok := strings.CutPrefix(page.String(), intro); !ok || got != want {
		t.Errorf("page:\n%s\nwant:\n%s", got, want)
	}
}

// The pages of the examples in the tree are those that their files give.
func TestExamplesAreFresh(t *testing.T) {
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := Examples(os.DirFS("../../chains/examples"), chains.Shipped(), reg)
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range pages {
		got, err := os.ReadFile("../../docs/examples/" + name)
		if err != nil || !bytes.Equal(got, page) {
			t.Errorf("docs/examples/%s is out of date; run make gen (%v)", name, err)
		}
	}
}
