package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// kit is what a client is installed by. It lies in a folder of the user's cache
// that is named after its recipe, so another recipe is another folder, and a kit
// is fetched once. Clients of the same language may need libraries that do
// not go together; therefore a kit for each.
type kit struct {
	name  string
	files []string   // the recipe, from the folder of this program
	needs []string   // programs that must be there already
	apt   []string   // names that scripts/test-tools knows
	steps [][]string // run in the kit's folder, where the recipe's files lie too
}

var (
	system = kit{name: "system"} // what the tests need anyhow
	libc   = kit{name: "libcoap", apt: []string{"coap-client"}}

	pahoKit = venv("paho")
	sdkKit  = venv("sdk")
	aioKit  = venv("aiocoap", "autotools") // its DTLS is C that is built on the way

	nodeKit = kit{
		name: "node", files: []string{"node/package.json"}, needs: []string{"node", "npm"},
		steps: [][]string{{"npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"}},
	}
	leshanKit = kit{
		name: "leshan", files: []string{"java/pom.xml"}, needs: []string{"java", "mvn"},
		steps: [][]string{{"mvn", "-q", "-B", "-f", "pom.xml", "dependency:copy-dependencies", "-DoutputDirectory=lib"}},
	}
)

// venv is a virtual environment of Python with what python/NAME.txt lists.
func venv(name string, apt ...string) kit {
	return kit{
		name: "python-" + name, files: []string{"python/" + name + ".txt"}, needs: []string{"python3"}, apt: apt,
		steps: [][]string{
			{"python3", "-m", "venv", "venv"},
			{"venv/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "-r", name + ".txt"},
		},
	}
}

// complete marks a kit that was installed to its end.
const complete = ".complete"

// errAway is why a kit cannot be had on this machine.
type errAway struct{ why string }

func (e *errAway) Error() string { return e.why }

// install sees to it that the kit is there, and returns its folder, "" where it
// has none. What hinders it is an errAway.
func (h *house) install(ctx context.Context, k kit) (dir string, err error) {
	if got, ok := h.kits[k.name]; ok {
		return got.dir, got.err
	}
	defer func() { h.kits[k.name] = installed{dir, err} }()
	for _, p := range k.needs {
		if _, err := exec.LookPath(p); err != nil {
			return "", &errAway{"there is no " + p}
		}
	}
	if len(k.apt) > 0 {
		if err := h.command(ctx, h.root, append([]string{"scripts/test-tools"}, k.apt...)...); err != nil {
			return "", &errAway{err.Error()}
		}
	}
	if len(k.steps) == 0 {
		return "", nil
	}
	return h.fetch(ctx, k)
}

type installed struct {
	dir string
	err error
}

func (h *house) fetch(ctx context.Context, k kit) (string, error) {
	name, recipe, err := h.recipe(k)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(h.cache, name)
	unlock, err := lock(dir + ".lock") // another run may be installing it
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, complete)); err == nil {
		return dir, nil
	}
	h.say("installing %s, once …", k.name)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	for name, content := range recipe {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	for _, step := range k.steps {
		if err := h.command(ctx, dir, step...); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", &errAway{err.Error()}
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, complete), nil, 0o600)
}

// recipe reads the kit's files, and says what its folder is called.
func (h *house) recipe(k kit) (name string, files map[string][]byte, err error) {
	sum := sha256.New()
	files = map[string][]byte{}
	for _, f := range k.files {
		b, err := os.ReadFile(filepath.Join(h.own, f))
		if err != nil {
			return "", nil, err
		}
		files[filepath.Base(f)] = b
		sum.Write(b)
	}
	fmt.Fprint(sum, k.steps)
	return fmt.Sprintf("%s-%x", k.name, sum.Sum(nil)[:4]), files, nil
}

// lock waits until this process alone has the file.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// command runs a program; what it said is in the error.
func (h *house) command(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the commands are ours
	if strings.Contains(args[0], "/") {
		cmd.Path, cmd.Err = filepath.Join(dir, args[0]), nil
	}
	var said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, io.Discard, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, lastLine(said.String()))
	}
	return nil
}

// lastLine is the last line that says anything.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
