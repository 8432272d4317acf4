package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestProcessesThatStartAtOnceShareOneToken(t *testing.T) {
	c := &Config{Data: filepath.Join(t.TempDir(), "new", "data")}
	var wg sync.WaitGroup
	tokens, makers := make([]string, 20), make([]bool, 20)
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], _, makers[i], err = c.adminToken(nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	made := 0
	for i := range tokens {
		if tokens[i] != tokens[0] || len(tokens[i]) != 43 {
			t.Errorf("got %q and %q", tokens[0], tokens[i])
		}
		if makers[i] {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d of them say that they made it", made)
	}
	info, err := os.Stat(filepath.Join(c.Data, tokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(c.Data, tokenFile+".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSecretsAreKeptFromOthers(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("HOOK", "hunter2")
	for _, c := range []struct {
		name   string
		secret Secret
		want   string
		err    string
	}{
		{"a file", Secret{File: file("good", "s3cret\n", 0o600)}, "s3cret", ""},
		{"a group's file", Secret{File: file("group", "s3cret", 0o640)}, "s3cret", ""},
		{"a file for everybody", Secret{File: file("open", "s3cret", 0o604)}, "", "may be read by everybody"},
		{"an empty file", Secret{File: file("empty", "\n", 0o600)}, "", "is empty"},
		{"a large file", Secret{File: file("large", strings.Repeat("x", maxSecret+1), 0o600)}, "", "is larger than"},
		{"a folder", Secret{File: dir}, "", "is no file"},
		{"no file", Secret{File: filepath.Join(dir, "none")}, "", "no such file"},
		{"a variable", Secret{Env: "HOOK"}, "hunter2", ""},
		{"no variable", Secret{Env: "HOOK_2"}, "", "HOOK_2 is not set"},
	} {
		cfg := &Config{Secrets: map[string]Secret{"x": c.secret}}
		got, err := cfg.readSecrets()
		if c.err == "" && (err != nil || got["x"] != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got %q, %v; want %q, %q", c.name, got["x"], err, c.want, c.err)
		}
	}
}

func TestTheAdministratorsTokenMayBeConfigured(t *testing.T) {
	c := &Config{Data: filepath.Join(t.TempDir(), "data")}
	const token = "0123456789abcdef0123456789"
	got, file, made, err := c.adminToken(map[string]string{adminSecret: token})
	if got != token || file != "" || made || err != nil {
		t.Errorf("got %q, %q, %v, %v", got, file, made, err)
	}
	if _, err := os.Stat(c.Data); err == nil {
		t.Error("a folder was made for it")
	}
	for _, bad := range []string{"admin", "0123456789 abcdef0123456789"} {
		if _, _, _, err := c.adminToken(map[string]string{adminSecret: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
