package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what came of one client.
type result struct {
	client  client
	version string
	away    string // why it is not available; "" where it is
	err     error  // why it failed
	took    time.Duration
}

// word is the result in a word or a sentence, on one line.
func (r *result) word() string {
	switch {
	case r.away != "":
		return "not available: " + firstLine(r.away)
	case r.err != nil:
		return "FAILED: " + firstLine(r.err.Error())
	}
	return "UPDATED, equal"
}

func (r *result) seconds() string {
	if r.took == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", r.took.Seconds())
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

func writeText(w io.Writer, results []result, _ time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "client\tversion\tprotocol\tresult\tseconds\tit needed")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.client.name, r.version, r.client.protocol, r.word(), r.seconds(), r.client.needed)
	}
	return t.Flush()
}

func writeMarkdown(w io.Writer, results []result, at time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s/%s, images of %d bytes:\n\n", at.UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, imageSize)
	b.WriteString("| client | version | protocol | result | seconds | it needed |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		cells := []string{r.client.name, r.version, r.client.protocol, r.word(), r.seconds(), r.client.needed}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
