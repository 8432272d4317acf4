package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func statusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "Count the devices in each state", Args: args()}
	kind := kindFlag(c, "", "one type alone")
	watch := c.Flags().BoolP("watch", "w", false, "go on, until interrupted")
	interval := c.Flags().Duration("interval", time.Second, "how often, with --watch")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		if *interval < 100*time.Millisecond {
			return wrongUsage("--interval is %s, want 100ms at least", *interval)
		}
		w := &watcher{c: c, cl: cl, kind: *kind, format: *format}
		if !*watch {
			return w.once(c.Context())
		}
		return w.loop(c.Context(), *interval)
	})
}

// watcher prints the counts, on a terminal over those before.
type watcher struct {
	c            *cobra.Command
	cl           *client
	kind, format string
	last         string
}

func (w *watcher) once(ctx context.Context) error {
	s, err := w.ask(ctx)
	if err != nil {
		return err
	}
	w.last = w.text(s)
	return show(w.c, w.format, s, func() *table { return statusTable(s) })
}

func (w *watcher) ask(ctx context.Context) (s api.Status, err error) {
	q := url.Values{}
	if w.kind != "" {
		q.Set("type", w.kind)
	}
	err = w.cl.do(ctx, http.MethodGet, path("status"), q, nil, &s)
	return s, err
}

// text is what tells whether anything has changed.
func (w *watcher) text(s api.Status) string { return fmt.Sprintf("%+v %+v", s.Firmware, s.Software) }

// loop prints whenever something has changed. A server that is away for a while
// is waited for.
func (w *watcher) loop(ctx context.Context, every time.Duration) error {
	if err := w.once(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s, err := w.ask(ctx)
		if ctx.Err() != nil {
			return nil // interrupted, which is how a watch ends
		}
		if err != nil {
			fmt.Fprintf(w.c.ErrOrStderr(), "windlass: status: %s\n", err)
			continue
		}
		if err := w.print(s); err != nil {
			return err
		}
	}
}

func (w *watcher) print(s api.Status) error {
	now := w.text(s)
	if now == w.last {
		return nil
	}
	w.last = now
	out := w.c.OutOrStdout()
	if w.format == "table" && terminal(out) {
		fmt.Fprintf(out, "\x1b[%dA\x1b[J", len(statusTable(s).rows)+1)
	}
	return show(w.c, w.format, s, func() *table { return statusTable(s) })
}

func statusTable(s api.Status) *table {
	t := &table{head: []string{"TYPE"}}
	for _, k := range []struct {
		name string
		n    *api.Counts
	}{{"firmware", s.Firmware}, {"software", s.Software}} {
		if k.n == nil {
			continue
		}
		row, head := []string{k.name}, []string{"TYPE"}
		k.n.Each(func(state string, n int64) {
			head, row = append(head, state), append(row, fmt.Sprint(n))
		})
		t.head = head
		t.add(row...)
	}
	return t
}

// terminal says whether w is a terminal.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
