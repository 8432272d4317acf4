package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes a row of counts for each kind, then what was let through.
func (v *verdicts) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(kind string, planted, refused int) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t\n", kind, planted, refused, planted-refused)
	}
	fmt.Fprint(t, "kind\tplanted\trefused\tlet through\t\n")
	for _, k := range allKinds {
		row(k, v.planted[k], v.refused[k])
	}
	row("misspelt words", sum(v.planted, wordKinds), sum(v.refused, wordKinds))
	row("all", sum(v.planted, allKinds), sum(v.refused, allKinds))
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, strings.Join(append(v.through, ""), "\n"))
	return err
}

func sum(of map[string]int, kinds []string) (n int) {
	for _, k := range kinds {
		n += of[k]
	}
	return n
}

// readList reads lines of "file:line:column kind: what # reason". Empty lines
// and those that begin with # are for people.
func readList(text string) (map[string]bool, error) {
	listed := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, reason, _ := strings.Cut(line, "#")
		what = strings.TrimSpace(what)
		switch {
		case strings.TrimSpace(reason) == "":
			return nil, fmt.Errorf("line %d gives no reason behind a #", i+1)
		case listed[what]:
			return nil, fmt.Errorf("line %d stands there already", i+1)
		}
		listed[what] = true
	}
	return listed, nil
}

// compare holds what was let through against the list, and the counts against
// what the language promises.
func (v *verdicts) compare(listed map[string]bool) error {
	var wrong []error
	open := map[string]bool{}
	for _, line := range v.through {
		open[line] = true
		if !listed[line] {
			wrong = append(wrong, fmt.Errorf("let through, and not in the list: %s", line))
		}
	}
	for line := range listed {
		if !open[line] {
			wrong = append(wrong, fmt.Errorf("in the list, but refused or not planted now: %s", line))
		}
	}
	for _, line := range v.required {
		wrong = append(wrong, fmt.Errorf("an outlet that must be wired was dropped and not missed: %s", line))
	}
	if all, caught := sum(v.planted, wordKinds), sum(v.refused, wordKinds); caught*100 < all*leastCaught {
		wrong = append(wrong, fmt.Errorf("of %d misspelt words %d were refused, want %d %%", all, caught, leastCaught))
	}
	return errors.Join(wrong...)
}
