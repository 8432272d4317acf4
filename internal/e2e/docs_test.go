package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	underHand  = regexp.MustCompile(`(?ms)^## An update by hand\n(.*?)(?:^## |\z)`)
	oneUpdated = regexp.MustCompile(`(?m)^firmware(?:\s+0){6}\s+1\s+0\s*$`)
	startsRun  = regexp.MustCompile(`(?m)^windlass run .*&\s*(?:#.*)?$`)
)

// What the README promises to work by pasting it does. A server in the
// background is waited for, as whoever pastes line by line does; only where
// it listens, and where it puts its data, is not what a test may use.
func TestDocs(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	section := underHand.FindStringSubmatch(readme)
	if section == nil {
		t.Fatal(`README.md has no section "An update by hand"`)
	}
	blocks := shellBlock.FindAllStringSubmatch(section[1], -1)
	if len(blocks) == 0 {
		t.Fatal("the section has no block of commands")
	}
	scripts := map[string]string{}
	for _, b := range blocks {
		scripts["README.md"] += b[1]
	}
	guides, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guides {
		for _, b := range shellBlock.FindAllStringSubmatch(read(t, "docs", filepath.Base(g)), -1) {
			scripts[filepath.Base(g)] += b[1]
		}
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			out := paste(t, script)
			if name == "README.md" && !oneUpdated.MatchString(out) {
				t.Errorf("the last word is not that one device is UPDATED:\n%s", out)
			}
		})
	}
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// paste runs commands as whoever copies them into a terminal would, in an empty
// folder whose Makefile brings the program that is built already.
func paste(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	makefile := fmt.Sprintf("build:\n\t@mkdir -p bin && ln -sf %s bin/windlass\n", binary)
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(makefile), 0o600); err != nil {
		t.Fatal(err)
	}
	http, mqtt := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	script = strings.NewReplacer("localhost:8080", http, "127.0.0.1:8080", http, "/tmp/", dir+"/tmp-").Replace(script)
	script = startsRun.ReplaceAllString(script, "$0\nuntil curl -sf http://"+http+"/readyz; do kill -0 $$!; done >/dev/null")
	script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" + script
	r := command(t, strings.NewReader(""), []string{"WINDLASS_HTTP=" + http, "WINDLASS_MQTT=" + mqtt, "WINDLASS_COAP=127.0.0.1:0", "WINDLASS_SERVER=http://" + http}, dir, "bash", "-c", script)
	if r.code != 0 {
		t.Errorf("exit code %d of\n%s\nwhich said\n%s%s", r.code, script, r.out, r.err)
	}
	return r.out
}
