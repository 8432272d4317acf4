package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func chainsCommand() *cobra.Command {
	return group("chains", "The logic of the server", chainsList(), chainsExport(), chainsReload(), chainsTap(), chainsStats(), chainsRevisions(), chainsRevert())
}

func chainsList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the chains that run", Args: args()}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		cs, err := listChains(c.Context(), cl)
		if err != nil {
			return err
		}
		for _, x := range cs {
			if x.Warning != "" {
				if err := done(c, "windlass: warning: %s", x.Warning); err != nil {
					return err
				}
			}
		}
		return show(c, *format, cs, func() *table {
			t := &table{head: []string{"CHAIN", "TRIGGER", "FILE", "REVISION", "SUMMARY"}}
			for _, x := range cs {
				t.add(x.Name, strings.Join(x.Triggers, " "), x.File, brief(x.Revision), x.Summary)
			}
			return t
		})
	})
}

func listChains(ctx context.Context, cl *client) ([]api.Chain, error) {
	var l api.List[api.Chain]
	err := cl.do(ctx, http.MethodGet, path("chains"), nil, nil, &l)
	return l.Data, err
}

func chainsExport() *cobra.Command {
	c := &cobra.Command{
		Use: "export DIR", Short: "Write the chains into a folder, to be read and changed", Args: args("DIR"),
		Long: "Writes the chains of the server into a folder. Where no server was named and none answers, they are those that this program\n" +
			"ships. A server run with --chains DIR then does what the files there say. A file that is there and differs is kept, unless --force.",
	}
	shipped := c.Flags().Bool("shipped", false, "those that this program ships, asking no server")
	force := c.Flags().Bool("force", false, "write over files that differ")
	n := clientFlags(c)
	c.RunE = func(c *cobra.Command, a []string) error {
		texts, from, err := chainTexts(c, n, *shipped)
		if err != nil {
			return err
		}
		wrote, err := writeChains(a[0], texts, *force)
		if err != nil {
			return err
		}
		return done(c, "%d chains %s in %s, %d of them written now", len(texts), from, a[0], wrote)
	}
	return c
}

// chainTexts gathers the chains to export, and says whose they are.
func chainTexts(c *cobra.Command, n *connection, shipped bool) (map[string][]byte, string, error) {
	if shipped {
		texts, err := shippedChains()
		return texts, "as shipped", err
	}
	cl, err := n.open()
	if err != nil {
		return nil, "", err
	}
	texts, err := runningChains(c, cl)
	var u *unreachable
	if errors.As(err, &u) && !cl.named {
		texts, err = shippedChains()
		return texts, "as shipped (no server answers)", err
	}
	return texts, "of " + cl.base.Redacted(), err
}

func runningChains(c *cobra.Command, cl *client) (map[string][]byte, error) {
	cs, err := listChains(c.Context(), cl)
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for _, x := range cs {
		var text api.ChainText
		if err := cl.do(c.Context(), http.MethodGet, path("chains", x.Name), nil, nil, &text); err != nil {
			return nil, err
		}
		texts[x.Name] = []byte(text.YAML)
	}
	return texts, nil
}

var chainName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// writeChains writes all or, where one must not be written over, nothing.
func writeChains(dir string, texts map[string][]byte, force bool) (wrote int, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	todo := map[string][]byte{}
	var kept []error
	for _, name := range sortedKeys(texts) {
		if !chainName.MatchString(name) {
			return 0, fmt.Errorf("%q is no name of a chain", name)
		}
		file := filepath.Join(dir, name+".yaml")
		old, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			todo[file] = texts[name]
		case err != nil:
			return 0, err
		case string(old) == string(texts[name]):
		case !force:
			kept = append(kept, fmt.Errorf("%s is there and differs", file))
		default:
			todo[file] = texts[name]
		}
	}
	if len(kept) > 0 {
		return 0, hinted(errors.Join(kept...), "--force writes over them")
	}
	for _, file := range sortedKeys(todo) {
		if err := os.WriteFile(file, todo[file], 0o644); err != nil {
			return wrote, err
		}
		wrote++
	}
	return wrote, nil
}

func chainsReload() *cobra.Command {
	c := &cobra.Command{
		Use: "reload", Short: "Let the server read its chain files again", Args: args(),
		Long: "Reads the chain files again and lets them run. Where one has a fault the chains that ran go on, and every fault is told.",
	}
	format := outputFlag(c)
	force := c.Flags().Bool("force", false, "let run what the files say, also where another revision was made active")
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		var r api.Reload
		var q url.Values
		if *force {
			q = url.Values{"force": {"true"}}
		}
		if err := cl.do(c.Context(), http.MethodPost, path("chains", "reload"), q, nil, &r); err != nil {
			return err
		}
		return show(c, *format, r, func() *table {
			t := &table{}
			if len(r.Changed) == 0 {
				t.add("nothing has changed")
			}
			for _, n := range r.Changed {
				t.add(n + " is as its file says")
			}
			return t
		})
	})
}

func chainsRevisions() *cobra.Command {
	c := &cobra.Command{
		Use: "revisions NAME", Short: "List what a chain was, the newest first", Args: args("NAME"),
		Long: "Lists the revisions of a chain that are kept: the last 50, and those that runs still wait on. A revision is the chain's file with all\n" +
			"that it calls. The one marked active answers; the one marked file is what the file says.",
	}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var l api.List[api.ChainRevision]
		if err := cl.do(c.Context(), http.MethodGet, path("chains", a[0], "revisions"), nil, nil, &l); err != nil {
			return err
		}
		return show(c, *format, l.Data, func() *table {
			t := &table{head: []string{"REVISION", "PUBLISHED", "BY", "NOW", "WAITING", "SUMMARY"}}
			for _, r := range l.Data {
				t.add(brief(r.Revision), r.At.Format(time.RFC3339), r.By, nowOf(r), strconv.FormatInt(r.Waiting, 10), r.Summary)
			}
			return t
		})
	})
}

// nowOf says what a revision is to those that run.
func nowOf(r api.ChainRevision) string {
	var words []string
	if r.Active {
		words = append(words, "active")
	}
	if r.File {
		words = append(words, "file")
	}
	return orDash(strings.Join(words, " "))
}

func chainsRevert() *cobra.Command {
	c := &cobra.Command{
		Use: "revert NAME REVISION", Short: "Let an older revision of a chain answer again", Args: args("NAME", "REVISION"),
		Long: "Makes another revision of a chain active, in all processes on the same state. The beginning of its digest is enough. What runs ends on\n" +
			"the revision that it began with. Chains that call this one call it as it was. It stays so, also over a restart, until the chain's file\n" +
			"changes or another revision is made active.",
	}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var r api.Reverted
		body := map[string]string{"revision": a[1]}
		if err := cl.do(c.Context(), http.MethodPost, path("chains", a[0], "revert"), nil, body, &r); err != nil {
			return err
		}
		return show(c, *format, r, func() *table {
			t := &table{}
			if len(r.Changed) == 0 {
				t.add(fmt.Sprintf("%s runs revision %s already", r.Chain, brief(r.Revision)))
			}
			for _, n := range r.Changed {
				if n == r.Chain {
					t.add(fmt.Sprintf("%s runs revision %s", n, brief(r.Revision)))
				} else {
					t.add(fmt.Sprintf("%s, which calls it, calls it as it was", n))
				}
			}
			return t
		})
	})
}
