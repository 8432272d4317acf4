package arch

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Violation is one import, or one folder, that the table does not allow.
type Violation struct {
	File string // from the root of the module, slashes
	Line int    // 0 where the folder itself is at fault
	What string // the import and the rule
}

func (v Violation) String() string {
	if v.Line == 0 {
		return v.File + ": " + v.What
	}
	return fmt.Sprintf("%s:%d: %s", v.File, v.Line, v.What)
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)

// Check compares every Go file below root, which is the root of a module, with
// the table. It reads the files themselves, so that no build tag hides an
// import. Folders that the go command does not see (testdata, a leading dot or
// underscore) and modules of their own are left out.
func Check(root fs.FS, t *Table) ([]Violation, error) {
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("read the module's name: %w", err)
	}
	match := moduleLine.FindSubmatch(mod)
	if match == nil {
		return nil, errors.New("go.mod names no module")
	}
	c := &checker{module: string(match[1]), table: t, root: root, folders: t.folders(), homeless: map[string]bool{}}
	if err := fs.WalkDir(root, ".", c.visit); err != nil {
		return nil, fmt.Errorf("walk the tree: %w", err)
	}
	return c.found, nil
}

type checker struct {
	module   string
	table    *Table
	root     fs.FS
	folders  []string
	homeless map[string]bool // folders already reported
	found    []Violation
}

func (c *checker) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if d.IsDir() {
		return c.enter(name)
	}
	if path.Ext(name) != ".go" {
		return nil
	}
	return c.file(name)
}

func (c *checker) enter(name string) error {
	base := path.Base(name)
	switch {
	case name == ".":
		return nil
	case base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" || base == "node_modules":
		return fs.SkipDir
	}
	if _, err := fs.Stat(c.root, name+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (c *checker) file(name string) error {
	dir := path.Dir(name)
	folder, ok := c.folderOf(dir)
	if !ok || c.table.rows[folder].noGo {
		if !c.homeless[dir] {
			c.homeless[dir] = true
			c.found = append(c.found, Violation{File: dir, What: "holds Go, and the table has no row for that: give it a row in " + TablePath + " first"})
		}
		return nil
	}
	src, err := fs.ReadFile(c.root, name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, src, parser.ImportsOnly)
	if err != nil {
		return fmt.Errorf("parse the imports: %w", err)
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		if why := c.refuse(name, folder, imported); why != "" {
			c.found = append(c.found, Violation{File: name, Line: set.Position(spec.Pos()).Line, What: "imports " + imported + ": " + why})
		}
	}
	return nil
}

// folderOf finds the row that a directory falls under: its own or the nearest
// above it.
func (c *checker) folderOf(dir string) (string, bool) {
	for _, name := range c.folders {
		if dir == name || strings.HasPrefix(dir, name+"/") {
			return name, true
		}
	}
	return "", false
}

// refuse says why a file must not import a package, or nothing where it may.
func (c *checker) refuse(file, folder, imported string) string {
	if !strings.HasPrefix(imported+"/", c.module+"/") {
		return c.refuseLibrary(path.Dir(file), imported)
	}
	if imported == c.module {
		return "the root of the module holds no package"
	}
	target := strings.TrimPrefix(imported, c.module+"/")
	dir, r := path.Dir(file), c.table.rows[folder]
	may := slices.Clone(r.may)
	isTest := strings.HasSuffix(file, "_test.go") || isSuite(dir)
	if isTest {
		may = append(append(may, c.table.anyTest...), r.tests...)
	}
	switch {
	case r.all, target == dir, target == folder, allows(may, dir, folder, target):
		return ""
	case strings.HasPrefix(target, folder+"/") && dir != folder:
		return fmt.Sprintf("%s and %s are siblings; below %s each stands alone and may import %s itself (%s)", dir, target, folder, folder, TablePath)
	}
	return fmt.Sprintf("%s may import %s (%s)", describe(folder, isTest), list(may), TablePath)
}

// allows tells whether one of the entries lets dir import target. "x/*" within
// x's own row is for x itself, or siblings would know each other by it.
func allows(may []string, dir, folder, target string) bool {
	for _, entry := range may {
		parent, below := strings.CutSuffix(entry, "/*")
		switch {
		case !below && entry == target:
			return true
		case below && path.Dir(target) == parent && (parent != folder || dir == folder):
			return true
		}
	}
	return false
}

func (c *checker) refuseLibrary(dir, imported string) string {
	for library, homes := range c.table.libraries {
		if strings.HasPrefix(imported+"/", library+"/") && !slices.Contains(homes, dir) {
			return fmt.Sprintf("this library has its home in %s; no other folder may import it (%s)", strings.Join(homes, ", "), TablePath)
		}
	}
	return ""
}

// isSuite tells whether a directory is a suite that other packages' tests run,
// like store/storetest: named after the folder it lies in.
func isSuite(dir string) bool {
	parent := path.Base(path.Dir(dir))
	name, ok := strings.CutSuffix(path.Base(dir), "test")
	return ok && name != "" && strings.HasPrefix(parent, name)
}

func describe(folder string, isTest bool) string {
	if isTest {
		return "a test in " + folder
	}
	return folder
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing of ours"
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return "only " + strings.Join(slices.Compact(sorted), ", ")
}
