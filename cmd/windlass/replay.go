package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
)

func replayCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "replay RUN --chain FILE", Short: "Run a recorded message through a changed chain, and print the difference", Args: args("RUN"),
		Long: "Lets the server run the message of a dead letter, or of one of its last runs, through the chain in a file, with effects off: nothing\n" +
			"is written and nothing is said. Both ways are printed step by step, with the first difference marked by >, and what each said and\n" +
			"wrote, or would have. The file may be a changed chain that the one which ran calls. A chain with faults prints them as windlass\n" +
			"validate does.",
		Example: "  windlass replay 01JD3M0Z… --chain telemetry.yaml",
	}
	file := c.Flags().String("chain", "", "file of the changed chain")
	format := outputFlag(c)
	required(c, "chain")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		text, err := os.ReadFile(*file)
		if err != nil {
			return err
		}
		var r api.Replay
		if err := cl.do(c.Context(), http.MethodPost, path("runs", a[0], "replay"), nil, api.TriedChain{Name: *file, YAML: string(text)}, &r); err != nil {
			return err
		}
		faults := faultsOf(r.Faults)
		if faults.Fatal(false) {
			if _, err := io.WriteString(c.OutOrStdout(), faults.Text()); err != nil {
				return err
			}
			return fmt.Errorf("%d %s in %s", len(faults), plural(len(faults), "fault"), *file)
		}
		if *format != "table" {
			return show(c, *format, r, nil)
		}
		if _, err := io.WriteString(c.ErrOrStderr(), faults.Text()); err != nil {
			return err
		}
		return printReplay(c.OutOrStdout(), &r)
	})
}

func faultsOf(in []api.Fault) engine.Faults {
	var out engine.Faults
	for _, f := range in {
		out = append(out, engine.Fault{File: f.File, Line: f.Line, Col: f.Column, Rule: f.Rule, Message: f.Message, Warning: f.Severity == "warning", Source: f.Source})
	}
	return out
}

func printReplay(w io.Writer, r *api.Replay) error {
	head := func(s *api.ReplaySide) string { return s.Chain + " " + short(s.Revision) }
	t := &table{head: []string{"", "WAS: " + plainCell(head(r.Was)), "WOULD BE: " + plainCell(head(r.Would))}}
	mark := ">"
	for _, row := range sideBySide(r.Was.Path, r.Would.Path) {
		if row[0] == row[1] || mark == "" {
			t.add("", row[0], row[1])
			continue
		}
		t.add(mark, row[0], row[1])
		mark = ""
	}
	if r.Same {
		mark = ""
	}
	t.add(mark, sideEnd(r.Was), sideEnd(r.Would))
	if err := t.write(w); err != nil {
		return err
	}
	if r.Was.Error != "" {
		fmt.Fprintln(w, "error then: "+plainCell(r.Was.Error))
	}
	if r.Would.Error != "" {
		fmt.Fprintln(w, "error now: "+plainCell(r.Would.Error))
	}
	said := "said and wrote then"
	if r.Was.Dry {
		said = "would have said and written then"
	}
	printSaid(w, said, r.Was.Said)
	printSaid(w, "would say and write now", r.Would.Said)
	for _, n := range r.Notes {
		fmt.Fprintln(w, "note: "+plainCell(n))
	}
	if r.Same {
		fmt.Fprintln(w, "both go the same way")
	}
	return nil
}

// sideBySide puts two paths beside each other, the same steps in the same
// rows; "-" where one has no such step.
func sideBySide(a, b []api.Hop) (rows [][2]string) {
	text := func(h api.Hop) string { return h.Step + "." + firstOf(h.Outlet, "(skipped)") }
	longest := make([][]int, len(a)+1) // common steps of the rests
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if a[i].Step == b[j].Step {
				longest[i][j] = max(longest[i][j], longest[i+1][j+1]+1)
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i].Step == b[j].Step && longest[i][j] == longest[i+1][j+1]+1:
			rows = append(rows, [2]string{text(a[i]), text(b[j])})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			rows = append(rows, [2]string{text(a[i]), "-"})
			i++
		default:
			rows = append(rows, [2]string{"-", text(b[j])})
			j++
		}
	}
	return rows
}

func sideEnd(s *api.ReplaySide) string { return "= " + endText(api.Run{End: s.End, Step: s.Step}) }

func printSaid(w io.Writer, what string, said []string) {
	if len(said) == 0 {
		said = []string{"nothing"}
	}
	fmt.Fprintln(w, what+":")
	for _, s := range said {
		fmt.Fprintln(w, "  "+plainCell(s))
	}
}
