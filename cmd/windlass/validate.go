package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/chaintest"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

func validateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "validate PATH...", Short: "Find what is wrong with chain files",
		Long: "Checks chain files as a server would load them. A folder is checked as a whole, over the shipped chains whose names it does not\n" +
			"use. Files of one folder are checked together; they may call the shipped chains, those beside them and the others named.",
		Args: func(_ *cobra.Command, a []string) error {
			if len(a) == 0 {
				return wrongUsage("PATH is missing")
			}
			return nil
		},
	}
	f := c.Flags()
	strict := f.Bool("strict", false, "warnings are faults")
	format := f.String("format", "text", "text, json, sarif or github")
	f.String("config", "", "configuration file, for params, env and secrets (WINDLASS_CONFIG)")
	complete(c, "format", "text", "json", "sarif", "github")
	c.RunE = func(c *cobra.Command, a []string) error {
		show, ok := faultFormats[*format]
		if !ok {
			return wrongUsage("--format is %q, want text, json, sarif or github", *format)
		}
		v, err := newValidator(c)
		if err != nil {
			return err
		}
		if err := v.all(a); err != nil {
			return err
		}
		if err := show(c.OutOrStdout(), v.faults); err != nil {
			return err
		}
		bad := 0
		for _, f := range v.faults {
			if *strict || !f.Warning {
				bad++
			}
		}
		if bad > 0 {
			return fmt.Errorf("%d %s in %d %s", bad, plural(bad, "fault"), v.files, plural(v.files, "file"))
		}
		return done(c, "%d %s, no fault", v.files, plural(v.files, "file"))
	}
	return c
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// validator gathers the faults of chain files.
type validator struct {
	reg     *engine.Registry
	opts    engine.Options
	shipped []engine.Source
	faults  engine.Faults
	files   int
}

func newValidator(c *cobra.Command) (*validator, error) {
	l, err := loadConfig(c, nil)
	if err != nil {
		return nil, err
	}
	secrets, err := l.readSecrets()
	if err != nil {
		return nil, err
	}
	v := &validator{opts: l.engineOptions(secrets)}
	if v.reg, err = newRegistry(engine.Deps{}); err != nil {
		return nil, err
	}
	v.shipped, err = shippedSources()
	return v, err
}

func (v *validator) all(paths []string) error {
	var single []engine.Source
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if info.IsDir() {
			if err := v.folder(p); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if strings.HasSuffix(p, testSuffix) {
			v.test(p, data)
			continue
		}
		single = append(single, engine.Source{Name: p, Data: data})
	}
	v.files += len(single)
	for len(single) > 0 {
		dir := filepath.Dir(single[0].Name)
		here := func(s engine.Source) bool { return filepath.Dir(s.Name) == dir }
		elsewhere := func(s engine.Source) bool { return !here(s) }
		v.together(dir, slices.DeleteFunc(slices.Clone(single), elsewhere), slices.DeleteFunc(slices.Clone(single), here))
		single = slices.DeleteFunc(single, here)
	}
	slices.SortStableFunc(v.faults, func(a, b engine.Fault) int { return strings.Compare(a.File, b.File) })
	return nil
}

// folder checks a folder as a server would load it.
func (v *validator) folder(dir string) error {
	sources, err := folderSources(dir)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("%s holds no chain", dir)
	}
	v.files += len(sources)
	v.faults = append(v.faults, v.compile(engine.Overlay(v.shipped, sources))...)
	tests, err := testsBelow(dir)
	if err != nil {
		return err
	}
	for _, name := range tests {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		v.test(name, data)
	}
	return nil
}

// test checks a test file by itself; whether it fits its chain is found out when
// it is played.
func (v *validator) test(name string, data []byte) {
	v.files++
	_, faults := chaintest.Read(name, data)
	v.faults = append(v.faults, faults...)
}

// together checks files of one folder beside those that they may call, and keeps
// their own faults. Named together they are judged together: two that answer
// the same event cannot both be loaded.
func (v *validator) together(dir string, files, others []engine.Source) {
	beside, _ := folderSources(dir) // a folder that cannot be read holds nothing to call
	context := engine.Overlay(engine.Overlay(v.shipped, withoutFile(beside, files)), others)
	context = slices.DeleteFunc(context, func(o engine.Source) bool {
		return !called(o) || slices.ContainsFunc(files, func(f engine.Source) bool { return f.ChainName() == o.ChainName() })
	})
	for _, f := range v.compile(append(context, files...)) {
		if slices.ContainsFunc(files, func(s engine.Source) bool { return s.Name == f.File }) {
			v.faults = append(v.faults, f)
		}
	}
}

// withoutFile drops the files that are in drop.
func withoutFile(all, drop []engine.Source) []engine.Source {
	return slices.DeleteFunc(slices.Clone(all), func(s engine.Source) bool {
		return slices.ContainsFunc(drop, func(d engine.Source) bool { return filepath.Clean(d.Name) == filepath.Clean(s.Name) })
	})
}

// called says whether a chain is there to be called by others.
func called(s engine.Source) bool {
	root, _ := yamlx.Parse(s.Data) // a file that cannot be read is nothing to call
	t := root.Get("trigger")
	return t != nil && t.Kind == yamlx.Scalar && t.Text == "call"
}

func (v *validator) compile(sources []engine.Source) engine.Faults {
	set, err := engine.Compile(sources, v.reg, v.opts)
	if err != nil {
		return engine.FaultsOf(err)
	}
	return set.Warnings
}

var faultFormats = map[string]func(io.Writer, engine.Faults) error{
	"text": func(w io.Writer, fs engine.Faults) error {
		_, err := io.WriteString(w, fs.Text())
		return err
	},
	"json":   printFaultsJSON,
	"sarif":  printSARIF,
	"github": printGitHub,
}

type faultJSON struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Rule     string `json:"rule"`
	Message  string `json:"message"`
}

func severity(f engine.Fault) string {
	if f.Warning {
		return "warning"
	}
	return "error"
}

func printFaultsJSON(w io.Writer, fs engine.Faults) error {
	out := []faultJSON{}
	for _, f := range fs {
		out = append(out, faultJSON{f.File, f.Line, f.Col, severity(f), f.Rule, f.Message})
	}
	return printJSON(w, out)
}

// printGitHub prints workflow commands, which GitHub shows beside the lines.
func printGitHub(w io.Writer, fs engine.Faults) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range fs {
		if _, err := fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", severity(f), property.Replace(f.File), f.Line, f.Col, f.Rule, data.Replace(f.Message)); err != nil {
			return err
		}
	}
	return nil
}

// printSARIF prints a log of SARIF 2.1.0.
func printSARIF(w io.Writer, fs engine.Faults) error {
	type m = map[string]any
	results, rules, seen := []m{}, []m{}, map[string]bool{}
	for _, f := range fs {
		if !seen[f.Rule] {
			seen[f.Rule] = true
			rules = append(rules, m{"id": f.Rule})
		}
		results = append(results, m{
			"ruleId": f.Rule, "level": severity(f), "message": m{"text": f.Message},
			"locations": []m{{"physicalLocation": m{
				"artifactLocation": m{"uri": filepath.ToSlash(f.File)},
				"region":           m{"startLine": f.Line, "startColumn": f.Col},
			}}},
		})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(m{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []m{{"tool": m{"driver": m{"name": "windlass", "version": version, "rules": rules}}, "results": results}},
	})
}
