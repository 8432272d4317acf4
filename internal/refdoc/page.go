package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/windlass-ota/windlass/engine"
)

const intro = `<!-- Generated from the nodes' specs by "make gen"; change those instead. -->

# The nodes

What a step of a chain can be. A step names one of these nodes, gives it settings by ` + "`with`" + ` and wires its outlets by ` + "`to`" + `.

- **Outlets.** The *main* one is bold and leads to the next step of the list. Every other must be wired, save those marked °, which may be left out and then end the run. Every node has besides an outlet ` + "`error`" + `.
- **About.** What the chain's trigger must be about for the node to stand there: a device, a device with an update, a rollout, a package, or anything.
- **Needs** and **sets**: the roots of expressions (` + "`package`, `update`" + `) and the proofs (` + "`compatible`, `permit`" + `) that a step before must have set, on every road, and those that hold behind the step.
- **Settings** are text in which ` + "`${…}`" + ` is an expression, unless they are expressions themselves.

`

// Page writes the reference page of node types, in their order.
func Page(w io.Writer, all []engine.Factory) error {
	p := &printer{w: w}
	p.printf("%s", intro)
	p.printf("| Node | About | Outlets | Does |\n| --- | --- | --- | --- |\n")
	for _, f := range all {
		s := f.Spec
		p.printf("| [`%s`](#%s) | %s | %s | %s |\n", s.Name, s.Name, subject(s.Subject), outlets(s), cell(s.Summary))
	}
	for _, f := range all {
		p.node(f)
	}
	return p.err
}

// printer keeps the first error, so that the page reads from top to bottom.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) node(f engine.Factory) {
	s := f.Spec
	p.printf("\n## %s\n\n%s\n", s.Name, s.Summary)
	if s.Doc != "" {
		p.printf("\n%s\n", s.Doc)
	}
	p.printf("\n%s\n", facts(s))
	p.settings(f.Describe())
	p.outletTable(s)
	p.outputs(s.Outputs)
	if s.Example != "" {
		p.printf("\n```yaml\n%s\n```\n", strings.TrimSpace(s.Example))
	}
}

func (p *printer) settings(all []engine.SettingDoc) {
	if len(all) == 0 {
		return
	}
	p.printf("\n| Setting | Type | Default | |\n| --- | --- | --- | --- |\n")
	for _, d := range all {
		typ, def := d.Type, ""
		switch {
		case len(d.Enum) > 0:
			typ = "`" + strings.Join(d.Enum, "`, `") + "`"
		case d.Secret:
			typ += ", may be secret"
		}
		switch {
		case d.Required:
			def = "*required*"
		case d.Default != "":
			def = "`" + d.Default + "`"
		}
		p.printf("| `%s` | %s | %s | %s |\n", d.Key, cell(typ), cell(def), cell(d.Doc))
	}
}

func (p *printer) outletTable(s engine.Spec) {
	if len(s.Outlets) == 0 {
		return
	}
	p.printf("\n| Outlet | Sets | |\n| --- | --- | --- |\n")
	for i, o := range s.Outlets {
		p.printf("| %s | %s | %s |\n", outlet(s, i), roots(o.Sets), cell(o.Doc))
	}
}

func (p *printer) outputs(all []engine.Output) {
	if len(all) == 0 {
		return
	}
	p.printf("\n| Output | Type | |\n| --- | --- | --- |\n")
	for _, o := range all {
		p.printf("| `steps.NAME.%s` | %s | %s |\n", o.Name, o.Type, cell(o.Doc))
	}
}

// facts is the line below a node's text: what it is about, needs and sets.
func facts(s engine.Spec) string {
	out := []string{"About: " + subject(s.Subject)}
	if len(s.Needs) > 0 {
		out = append(out, "needs "+roots(s.Needs))
	}
	if len(s.Sets) > 0 {
		out = append(out, "sets "+roots(s.Sets))
	}
	for _, x := range []struct {
		holds bool
		text  string
	}{
		{s.Writes, "writes"}, {s.Replies, "answers the asker"}, {s.Waits, "may wait"}, {s.Flow, "part of the language"},
		{len(s.Outlets) == 0 && !s.Flow || s.Ends, "ends the run"},
	} {
		if x.holds {
			out = append(out, x.text)
		}
	}
	return strings.Join(out, " · ")
}

func subject(s engine.Subject) string {
	switch s {
	case engine.Device:
		return "device"
	case engine.UpdateSubject:
		return "update"
	case engine.RolloutSubject:
		return "rollout"
	case engine.PackageSubject:
		return "package"
	}
	return "anything"
}

func outlets(s engine.Spec) string {
	var out []string
	for i := range s.Outlets {
		out = append(out, outlet(s, i))
	}
	if len(out) == 0 {
		return "–"
	}
	return strings.Join(out, " ")
}

func outlet(s engine.Spec, i int) string {
	name := "`" + s.Outlets[i].Name + "`"
	if i == 0 && !s.NoMain {
		name = "**" + name + "**"
	}
	if s.Outlets[i].MayEnd {
		name += "°"
	}
	return name
}

func roots(all []engine.Root) string {
	var out []string
	for _, r := range all {
		out = append(out, "`"+string(r)+"`")
	}
	return strings.Join(out, ", ")
}

// cell makes text fit for a cell of a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ")
}
