// Package arch holds the tree to the table of docs/architecture.md: which
// folder may import which. The table is the only source; this package knows
// how to read it and how to compare it with the files, and no folder by name.
//
// It judges imports alone. What a package may know in other ways (a topic name
// in the engine, say) is for the reader of a change.
package arch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

const (
	// TablePath is where the table lies, from the root of the module.
	TablePath = "docs/architecture.md"

	foldersHeading   = "## Folders"
	librariesHeading = "## Libraries with one home"

	testsRow = "*_test.go" // the row of what every test may import besides
)

// A row says what one folder may import of ours.
type row struct {
	all   bool     // anything
	noGo  bool     // the folder holds no Go at all
	may   []string // folders; "x/*" is each folder directly below x
	tests []string // what its tests may import besides
}

// A Table is the rules of docs/architecture.md.
type Table struct {
	rows      map[string]row
	anyTest   []string            // what every test and every suite may import besides
	libraries map[string][]string // module path → the folders that may import it
}

var (
	quoted    = regexp.MustCompile("`([^`]+)`")
	separator = regexp.MustCompile(`^\|[\s:|-]+\|$`)
)

// ReadTable reads both tables out of Markdown. A cell that it cannot
// understand is an error and never a permission.
func ReadTable(r io.Reader) (*Table, error) {
	t := &Table{rows: map[string]row{}, libraries: map[string][]string{}}
	var heading string
	var header bool // the next table line of this section is its header
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case strings.HasPrefix(line, "#"):
			heading, header = line, true
		case !strings.HasPrefix(line, "|") || separator.MatchString(line):
		case heading != foldersHeading && heading != librariesHeading:
		case header:
			header = false
		default:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if err := t.add(heading, cells); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", TablePath, n, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", TablePath, err)
	}
	if len(t.rows) == 0 || len(t.libraries) == 0 || t.anyTest == nil {
		return nil, fmt.Errorf("%s: a table is missing: want %q with a row %q, and %q", TablePath, foldersHeading, testsRow, librariesHeading)
	}
	return t, nil
}

func (t *Table) add(heading string, cells []string) error {
	names := tokens(cells[0])
	if len(names) == 0 {
		return fmt.Errorf("row %q names no folder in backquotes", strings.TrimSpace(cells[0]))
	}
	if heading == librariesHeading {
		if len(cells) != 2 {
			return fmt.Errorf("row %q has %d cells, want 2", names[0], len(cells))
		}
		for _, name := range names {
			t.libraries[name] = tokens(cells[1])
		}
		return nil
	}
	if len(cells) != 4 {
		return fmt.Errorf("row %q has %d cells, want 4", names[0], len(cells))
	}
	for _, name := range names {
		if err := t.addFolder(strings.TrimSuffix(name, "/"), cells[2], cells[3]); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) addFolder(name, may, tests string) error {
	if _, twice := t.rows[name]; twice {
		return fmt.Errorf("folder %q has two rows", name)
	}
	var err error
	var r row
	if r, err = permission(may); err != nil {
		return fmt.Errorf("folder %q: %w", name, err)
	}
	extra, err := permission(tests)
	if err != nil || extra.all {
		return fmt.Errorf("folder %q: tests: want folders or –, not %q", name, strings.TrimSpace(tests))
	}
	if name == testsRow {
		if len(r.may) == 0 {
			return errors.New("the row of the tests allows nothing; remove it or fill it")
		}
		t.anyTest = r.may
		return nil
	}
	r.tests = extra.may
	t.rows[name] = r
	return nil
}

// permission reads a cell: "nothing", "all", "–" or folders in backquotes.
func permission(cell string) (row, error) {
	switch cell = strings.TrimSpace(cell); cell {
	case "nothing":
		return row{}, nil
	case "all":
		return row{all: true}, nil
	case "–", "":
		return row{noGo: true}, nil
	}
	may := tokens(cell)
	if len(may) == 0 {
		return row{}, fmt.Errorf("want folders in backquotes, nothing, all or –, not %q", cell)
	}
	return row{may: may}, nil
}

func tokens(cell string) []string {
	var found []string
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		found = append(found, match[1])
	}
	return found
}

// folders lists the rows, longest name first, so that the first match is the
// nearest.
func (t *Table) folders() []string {
	var names []string
	for name := range t.rows {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := len(b) - len(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}
