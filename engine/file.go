package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// doc is a chain file as it was written: checked for its keys and its names,
// and nothing else.
type doc struct {
	src      *source
	sum      [32]byte
	text     string
	name     string
	nameAt   *yamlx.Node
	summary  string
	trigger  *yamlx.Node
	triggers []triggerDoc
	steps    []*stepDoc
	stepsAt  *yamlx.Node
	branches []branchDoc
	onError  *yamlx.Node
	params   []*paramDecl
	vars     []*varDecl
	fields   map[string]map[string]Type
	outlets  []string
	limits   Limits
	enabled  bool
}

type branchDoc struct {
	name  string
	at    *yamlx.Node
	steps []*stepDoc
}

type triggerDoc struct {
	at       *yamlx.Node
	event    ota.Event
	profiles []string
	kind     ota.Kind
	cond     *yamlx.Node
	observe  bool
	to       *yamlx.Node
	call     bool
	door     *doorDoc // of a transport node
}

type stepDoc struct {
	at             *yamlx.Node
	node           string
	nodeAt         *yamlx.Node
	name           string
	named          bool
	when           *yamlx.Node
	with           *yamlx.Node
	retry, timeout *yamlx.Node
	to             []yamlx.Pair
}

// reader reads one file.
type reader struct {
	src    *source
	faults *faultList
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

var reserved = []string{"next", "end", "error", "other"}

// maxSteps bounds the steps of one file.
const maxSteps = 1000

var (
	chainKeys   = []string{"chain", "summary", "trigger", "steps", "branches", "on_error", "params", "vars", "fields", "outlets", "limits", "enabled"}
	stepKeys    = []string{"node", "name", "when", "with", "to", "retry", "timeout", "note"}
	triggerKeys = []string{"event", "profiles", "kind", "if", "observe", "to"}
	paramKeys   = []string{"type", "default", "note", "enum", "min", "max"}
)

// readDoc reads a file as far as it can be read; nil where nothing is to be had.
func readDoc(s Source, faults *faultList) *doc {
	rd := &reader{newSource(s), faults}
	root, problems := yamlx.Parse(s.Data)
	for _, p := range problems {
		rule := ruleYAML
		if p.TooLarge {
			rule = ruleTooLarge
		}
		faults.put(rd.src, p.Line, p.Col, rule, false, p.Message)
	}
	if root == nil {
		if len(problems) == 0 {
			faults.put(rd.src, 1, 1, ruleMissing, false, "the file is empty")
		}
		return nil
	}
	if root.Kind != yamlx.Map {
		rd.fault(root, ruleYAML, "the file is %s, want a chain", root.Kind)
		return nil
	}
	d := &doc{src: rd.src, sum: sha256.Sum256(s.Data), text: string(s.Data), outlets: []string{"done"}, limits: Limits{1000, 5 * time.Second}, enabled: true}
	rd.chain(d, root)
	return d
}

func (rd *reader) fault(at *yamlx.Node, rule, format string, args ...any) {
	rd.faults.add(rd.src, at, rule, format, args...)
}

func (rd *reader) chain(d *doc, root *yamlx.Node) {
	for _, p := range root.Pairs {
		v := p.Value
		switch p.Key.Text {
		case "chain":
			d.name, d.nameAt = rd.name(v, "chain"), v
		case "summary":
			d.summary = rd.text(v, "summary")
		case "trigger":
			d.trigger = v
			rd.triggers(d, v)
		case "steps":
			d.stepsAt = p.Key
			d.steps = rd.steps(v, "")
		case "branches":
			rd.branches(d, v)
		case "on_error":
			d.onError = v
		case "params":
			rd.params(d, v)
		case "vars":
			rd.vars(d, v)
		case "fields":
			rd.fields(d, v)
		case "outlets":
			rd.outlets(d, v)
		case "limits":
			rd.limits(d, v)
		case "enabled":
			d.enabled = rd.flag(v, "enabled", true)
		default:
			if !strings.HasPrefix(p.Key.Text, "x-") {
				rd.fault(p.Key, ruleUnknownKey, "a chain has no key %s%s", p.Key.Text, didYouMean(p.Key.Text, chainKeys))
			}
		}
	}
	rd.complete(d, root)
}

// complete says what a chain must have and has not.
func (rd *reader) complete(d *doc, root *yamlx.Node) {
	for _, k := range []string{"chain", "summary", "trigger"} {
		if root.Get(k) == nil {
			rd.fault(root, ruleMissing, "a chain needs the key %s", k)
		}
	}
	if d.nameAt == nil {
		d.nameAt = root
	}
	if d.name != "" {
		base := d.src.name[strings.LastIndexAny(d.src.name, `/\`)+1:]
		if stem, ok := strings.CutSuffix(base, ".yaml"); ok && stem != d.name && nameForm.MatchString(stem) {
			rd.fault(d.nameAt, ruleNameTaken, "chain %s stands in %s; a file is named like its chain", d.name, base)
		}
	}
	free := len(d.triggers) > 0
	for _, t := range d.triggers {
		free = free && t.to != nil
	}
	if len(d.steps) == 0 && !free && root.Get("trigger") != nil {
		rd.fault(root, ruleMissing, "a chain needs steps, unless every trigger has its own to")
	}
	n := len(d.steps)
	for _, b := range d.branches {
		n += len(b.steps)
	}
	if n > maxSteps {
		rd.fault(root, ruleTooLarge, "the chain has %d steps, %d at most", n, maxSteps)
		d.steps, d.branches = nil, nil
	}
}

// name reads a name and checks its form.
func (rd *reader) name(n *yamlx.Node, what string) string {
	s := rd.text(n, what)
	switch {
	case s == "":
	case slices.Contains(reserved, s):
		rd.fault(n, ruleNameTaken, "%s is a word of the language; choose another name for the %s", s, what)
		return ""
	case !nameForm.MatchString(s):
		rd.fault(n, ruleBadLiteral, "%q is no name: small letters, digits and _, a letter first, 63 at most", s)
		return ""
	}
	return s
}

func (rd *reader) text(n *yamlx.Node, what string) string {
	if n.Kind != yamlx.Scalar {
		rd.fault(n, ruleWrongType, "%s is %s, want text", what, n.Kind)
		return ""
	}
	if n.Null() {
		rd.fault(n, ruleMissing, "%s is empty", what)
		return ""
	}
	return n.Text
}

// flag reads true or false; def is what a fault leaves.
func (rd *reader) flag(n *yamlx.Node, what string, def bool) bool {
	if n.Kind == yamlx.Scalar && !n.Quoted {
		if b, err := parseBool(n.Text); err == nil {
			return b
		}
	}
	rd.fault(n, ruleWrongType, "%s is %s, want true or false", what, describeNode(n))
	return def
}

func describeNode(n *yamlx.Node) string {
	if n.Kind == yamlx.Scalar {
		return fmt.Sprintf("%q", n.Text)
	}
	return n.Kind.String()
}

// mapOf checks the shape of a map; its pairs are empty where it is none.
func (rd *reader) mapOf(n *yamlx.Node, what string) []yamlx.Pair {
	if n.Kind != yamlx.Map {
		if !n.Null() {
			rd.fault(n, ruleWrongType, "%s is %s, want a map", what, n.Kind)
		}
		return nil
	}
	return n.Pairs
}

func (rd *reader) texts(n *yamlx.Node, what string) []string {
	if n.Kind != yamlx.List {
		rd.fault(n, ruleWrongType, "%s is %s, want a list", what, describeNode(n))
		return nil
	}
	var out []string
	for _, x := range n.Items {
		if s := rd.text(x, what); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (rd *reader) limits(d *doc, n *yamlx.Node) {
	for _, p := range rd.mapOf(n, "limits") {
		var err error
		switch p.Key.Text {
		case "steps":
			d.limits.Steps, err = parseInt(p.Value.Text)
			if err == nil {
				err = Between("steps", d.limits.Steps, 1, 100_000)
			}
		case "time":
			d.limits.Time, err = parseDuration(p.Value.Text)
			if err == nil {
				err = Between("time", d.limits.Time, time.Millisecond, 30*time.Second)
			}
		default:
			rd.fault(p.Key, ruleUnknownKey, "limits have no key %s%s", p.Key.Text, didYouMean(p.Key.Text, []string{"steps", "time"}))
		}
		var fe *FieldError
		if errors.As(err, &fe) || err != nil {
			rd.fault(p.Value, ruleBadLiteral, "%s", err)
		}
	}
}
