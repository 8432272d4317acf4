// Command typos measures what the loader of chains catches: it plants single
// faults of a few kinds into every chain we ship and every example, one at a
// time, and loads each. What is let through must stand in a list that people
// have reviewed, with the reason why it is no fault.
//
// It knows chains as text with places. What is a fault only the engine knows.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

// leastCaught is how many misspelt words of a hundred must be refused.
const leastCaught = 98

func main() {
	dir := flag.String("chains", "chains", "the folder with the chains")
	list := flag.String("list", "testdata/typos.txt", "what may be let through, with reasons")
	flag.Parse()
	if err := run(os.Stdout, *dir, *list); err != nil {
		fmt.Fprintln(os.Stderr, "typos:", err)
		os.Exit(1)
	}
}

// run judges the chains of dir, prints the counts and what was let through, and
// fails where that is not what the list says.
func run(w io.Writer, dir, list string) error {
	j, err := newJudge()
	if err != nil {
		return err
	}
	if err := j.folder(os.DirFS(dir)); err != nil {
		return err
	}
	data, err := os.ReadFile(list) //nolint:gosec // the file that the caller names
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	listed, err := readList(string(data))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	if err := j.print(w); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return j.compare(listed)
}
