package nodes_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

// hostile are files that were made to hurt a loader.
func hostile() map[string]string {
	bomb := "chain: x\nsummary: A bomb.\ntrigger: telemetry\nx-a: &a [b, b, b, b, b, b, b, b, b]\n"
	for i := range 20 {
		bomb += fmt.Sprintf("x-%c: &%c [%s]\n", 'b'+i, 'b'+i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", 'a'+i), 9), ", "))
	}
	head := "chain: x\nsummary: Long.\ntrigger: telemetry\nsteps:\n"
	return map[string]string{
		"alias bomb":     bomb + "steps: [{node: save_telemetry}]\n",
		"deep lists":     "chain: " + strings.Repeat("[", 500_000),
		"deep maps":      "chain: " + strings.Repeat("{a: ", 200_000),
		"many steps":     head + strings.Repeat("  - {node: save_telemetry}\n", 30_000),
		"many unknown":   head + strings.Repeat("  - {node: save_telemetri, whit: 1}\n", 900),
		"long scalar":    head + "  - {node: log, with: {message: '" + strings.Repeat("${1}", 200_000) + "'}}\n",
		"deep brackets":  head + "  - {node: filter, with: {if: '" + strings.Repeat("(", 200_000) + "'}}\n",
		"deep negation":  head + "  - {node: filter, with: {if: '" + strings.Repeat("not ", 100_000) + "true'}}\n",
		"wide sum":       head + "  - {node: filter, with: {if: '" + strings.Repeat("1 + ", 100_000) + "1 > 0'}}\n",
		"endless choice": head + "  - {node: filter, with: {if: '" + strings.Repeat("true ? ", 100_000) + "true'}}\n",
		"above a MiB":    head + strings.Repeat("# long\n", 200_000),
	}
}

// TestMemory holds what the loader takes for one faulty file, all that it
// allocates on the way counted, to 16 MB.
func TestMemory(t *testing.T) {
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := engine.ReadSources(os.DirFS(filepath.Join("..", "testdata", "bad")))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range hostile() {
		sources = append(sources, engine.Source{Name: name + ".yaml", Data: []byte(text)})
	}
	for _, s := range sources {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := engine.Compile([]engine.Source{s}, reg, engine.Options{})
		runtime.ReadMemStats(&after)
		if err == nil && hostile()[strings.TrimSuffix(s.Name, ".yaml")] != "" {
			t.Errorf("%s loads", s.Name)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 16_000_000 {
			t.Errorf("%s: %d bytes", s.Name, took)
		}
	}
}
