package chaintest

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// File is a test file that was read.
type File struct {
	Name  string // its path
	Chain string // the chain under test
	Cases []*Case

	at *yamlx.Node // of Chain
	rd *reader
}

// Case is one story of a file.
type Case struct {
	Name string
	Line int

	given given
	acts  []act
}

// given is the world as it stands when a case begins.
type given struct {
	Clock       *time.Time          `yaml:"clock"`
	Chains      []string            `yaml:"chains"`
	Packages    []packageDoc        `yaml:"packages"`
	Groups      []string            `yaml:"groups"`
	Devices     []deviceDoc         `yaml:"devices"`
	Assignments []assignDoc         `yaml:"assignments"`
	Params      map[string]textsDoc `yaml:"params"`
	Env         textsDoc            `yaml:"env"`
	Secrets     textsDoc            `yaml:"secrets"`
}

type textsDoc map[string]string

type packageDoc struct {
	Title       string       `yaml:"title,must"`
	Version     string       `yaml:"version,must"`
	Kind        ota.Kind     `yaml:"kind"`
	Profile     string       `yaml:"profile,must"`
	Tag         string       `yaml:"tag"`
	Size        engine.Bytes `yaml:"size"`
	URL         string       `yaml:"url"`
	Labels      textsDoc     `yaml:"labels"`
	Description string       `yaml:"description"`
	Quarantine  string       `yaml:"quarantine"`
}

type deviceDoc struct {
	Count     int         `yaml:"count"`
	Name      string      `yaml:"name,must"`
	Profile   string      `yaml:"profile,must"`
	Runs      versionDoc  `yaml:"runs"`
	Software  versionDoc  `yaml:"software"`
	Zone      string      `yaml:"zone"`
	Owner     string      `yaml:"owner"`
	Groups    []string    `yaml:"groups"`
	Online    *bool       `yaml:"online"`
	Telemetry *yamlx.Node `yaml:"telemetry"`
	Client    *yamlx.Node `yaml:"client"`
	Shared    *yamlx.Node `yaml:"shared"`
	Server    *yamlx.Node `yaml:"server"`
	Behaves   *behaviour  `yaml:"behaves"`
}

// versionDoc is a package as title@version.
type versionDoc ota.Version

func (v *versionDoc) read(rd *reader, n *yamlx.Node) {
	title, version, ok := strings.Cut(n.Text, "@")
	if n.Kind != yamlx.Scalar || !ok || title == "" || version == "" {
		rd.fault(n, ruleBadLiteral, "%s is no package; write title@version", describe(n))
		return
	}
	v.Title, v.Version = title, version
}

func (v versionDoc) String() string { return ota.Version(v).String() }

// targetDoc is profile:NAME, group:NAME or device:NAME.
type targetDoc struct {
	typ  ota.RefType
	name string
	at   *yamlx.Node
}

func (t *targetDoc) read(rd *reader, n *yamlx.Node) {
	typ, name, ok := strings.Cut(n.Text, ":")
	t.typ, t.name, t.at = ota.RefType(typ), name, n
	types := []string{string(ota.ProfileRef), string(ota.GroupRef), string(ota.DeviceRef)}
	if n.Kind != yamlx.Scalar || !ok || name == "" || !slices.Contains(types, typ) {
		rd.fault(n, ruleBadLiteral, "%s is no target; write profile:pump, group:lab or device:dev-1", describe(n))
	}
}

type assignDoc struct {
	Package versionDoc `yaml:"package,must"`
	Target  targetDoc  `yaml:"target,must"`
	Chain   string     `yaml:"chain"`
	Args    textsDoc   `yaml:"args"`
	By      string     `yaml:"by"`
}

// act is one line of a case: a verb and what it is about.
type act struct {
	verb string
	at   *yamlx.Node // the verb
	arg  *yamlx.Node
	do   doer
}

// Read reads a test file. The faults are everything that is wrong with it; the
// file is nil where there are any.
func Read(name string, data []byte) (*File, engine.Faults) {
	rd := &reader{name: name, lines: strings.Split(string(data), "\n")}
	root, problems := yamlx.Parse(data)
	for _, p := range problems {
		rule := ruleYAML
		if p.TooLarge {
			rule = ruleTooLarge
		}
		rd.put(p.Line, p.Col, rule, p.Message)
	}
	f := &File{Name: name, rd: rd}
	switch {
	case root != nil && root.Kind == yamlx.Map:
		f.read(root)
	case len(problems) == 0:
		rd.put(1, 1, ruleMissing, "the file holds no test; write test: NAME and cases")
	}
	if len(rd.faults) > 0 {
		slices.SortStableFunc(rd.faults, func(a, b engine.Fault) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col)) })
		return nil, rd.faults
	}
	return f, nil
}

type fileDoc struct {
	Test  *yamlx.Node `yaml:"test,must"`
	Given *yamlx.Node `yaml:"given"`
	Cases []*caseDoc  `yaml:"cases,must"`
}

type caseDoc struct {
	Name  string      `yaml:"name,must"`
	Given *yamlx.Node `yaml:"given"`
	Do    *yamlx.Node `yaml:"do,must"`

	at *yamlx.Node
}

func (c *caseDoc) read(rd *reader, n *yamlx.Node) {
	type plain caseDoc
	c.at = n
	rd.fields(reflect.ValueOf((*plain)(c)).Elem(), n, "a case")
}

func (f *File) read(root *yamlx.Node) {
	var d fileDoc
	rd := f.rd
	rd.fields(reflect.ValueOf(&d).Elem(), root, "a test")
	if d.Test != nil {
		f.at = d.Test
		rd.into(reflect.ValueOf(&f.Chain).Elem(), d.Test, "test")
	}
	var base given
	rd.given(&base, d.Given)
	names := map[string]bool{}
	for _, c := range d.Cases {
		x := &Case{Name: c.Name, Line: c.at.Line, given: base}
		if names[c.Name] && c.at.Get("name") != nil {
			rd.fault(c.at.Get("name"), ruleBadLiteral, "another case is named %q", c.Name)
		}
		names[c.Name] = true
		rd.given(&x.given, c.Given)
		if c.Do != nil {
			x.acts = rd.acts(c.Do)
		}
		f.Cases = append(f.Cases, x)
	}
}

// given lays what a node says over g: what it names takes the place of the key.
func (rd *reader) given(g *given, n *yamlx.Node) {
	if n == nil {
		return
	}
	rd.fields(reflect.ValueOf(g).Elem(), n, "given")
	devices, bytes := 0, engine.Bytes(0)
	for _, d := range g.Devices {
		devices += max(1, d.Count)
		if d.Count < 0 || d.Count > 0 && !strings.Contains(d.Name, "{n}") {
			rd.fault(n.Get("devices"), ruleBadLiteral, "%d devices need {n} in their name, which is %q", d.Count, d.Name)
		}
	}
	for _, p := range g.Packages {
		bytes += p.Size
	}
	if devices > maxDevices {
		rd.fault(n, ruleTooLarge, "%d devices, %d at most", devices, maxDevices)
	}
	if bytes > maxBytes || bytes < 0 {
		rd.fault(n, ruleTooLarge, "the packages hold %d bytes, %d at most", bytes, maxBytes)
	}
}

// The bounds of a world.
const (
	maxDevices = 100_000
	maxBytes   = 1 << 30
)

func (rd *reader) acts(n *yamlx.Node) []act {
	if n.Kind != yamlx.List {
		rd.fault(n, ruleWrongType, "do is %s, want a list of acts", describe(n))
		return nil
	}
	var out []act
	for _, x := range n.Items {
		if x.Kind != yamlx.Map || len(x.Pairs) != 1 {
			rd.fault(x, ruleWrongType, "an act is %s, want one verb, such as send: {…}", describe(x))
			continue
		}
		a := act{verb: x.Pairs[0].Key.Text, at: x.Pairs[0].Key, arg: x.Pairs[0].Value}
		make, ok := verbs[a.verb]
		if !ok {
			rd.fault(a.at, ruleUnknownKey, "there is no act %s%s", a.verb, engine.DidYouMean(a.verb, verbNames()))
			continue
		}
		a.do = make()
		rd.into(reflect.ValueOf(a.do).Elem(), a.arg, a.verb)
		out = append(out, a)
	}
	return out
}

// names are the devices that a given device stands for.
func (d *deviceDoc) names() []string {
	if d.Count == 0 {
		return []string{d.Name}
	}
	var out []string
	for i := range d.Count {
		out = append(out, strings.ReplaceAll(d.Name, "{n}", strconv.Itoa(i+1)))
	}
	return out
}
