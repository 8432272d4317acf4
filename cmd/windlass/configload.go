package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

// loaded is a configuration and where each value of it came from.
type loaded struct {
	Config
	values   *koanf.Koanf
	from     map[string]string // by key: "default", "windlass.yaml:3:7", "WINDLASS_HTTP", "--http"
	warnings []string
}

// layer is a set of values by key; it is a koanf provider.
type layer map[string]any

func (l layer) Read() (map[string]any, error) { return l, nil }
func (l layer) ReadBytes() ([]byte, error)    { return nil, errors.ErrUnsupported }

// put sets a value at a key with dots.
func (l layer) put(key, v string) {
	m := map[string]any(l)
	parts := strings.Split(key, ".")
	for _, p := range parts[:len(parts)-1] {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	m[parts[len(parts)-1]] = v
}

// configFlags adds a flag for every setting, besides --config and --set.
// defaults replaces those of the table, by key.
func configFlags(c *cobra.Command, defaults map[string]string) {
	f := c.Flags()
	f.SortFlags = false
	f.StringP("config", "c", "", "configuration file (WINDLASS_CONFIG)")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	for _, s := range settings {
		if s.name() == "" {
			continue
		}
		doc := s.doc
		if s.later != "" {
			doc += " (not in this version)"
		}
		def := s.def
		if d, ok := defaults[s.key]; ok {
			def = d
		}
		if s.many {
			f.StringArray(s.name(), nil, doc)
			continue
		}
		f.String(s.name(), def, doc)
	}
	f.StringArray("set", nil, "set any key: --set KEY=VALUE")
}

// loadConfig puts defaults, file, environment, flags and --set over one another,
// the later ones winning, and reads the values. All that is wrong is told at once.
func loadConfig(c *cobra.Command, defaults map[string]string) (*loaded, error) {
	l := &loaded{values: koanf.New("."), from: map[string]string{}}
	l.ChainParams, l.Secrets, l.Brokers = map[string]map[string]string{}, map[string]Secret{}, map[string]Broker{}
	first := layer{}
	for _, s := range settings {
		if !strings.Contains(s.key, "*") {
			def := s.def
			if d, ok := defaults[s.key]; ok {
				def = d
			}
			first.put(s.key, def)
			l.from[s.key] = "default"
		}
	}
	var problems []error
	add := func(more layer, err error) {
		problems = append(problems, err)
		problems = append(problems, l.values.Load(more, nil))
	}
	add(first, nil)
	if file := configFile(c); file != "" {
		add(l.readFile(file))
	}
	add(l.readEnv(), nil)
	add(l.readFlags(c))
	problems = append(problems, l.takeAll())
	return l, errors.Join(problems...)
}

func configFile(c *cobra.Command) string {
	if f := c.Flags().Lookup("config"); f != nil && f.Changed {
		return f.Value.String()
	}
	return os.Getenv("WINDLASS_CONFIG")
}

// readFile reads a YAML file; a key that is not in the table is refused where
// it stands.
func (l *loaded) readFile(file string) (layer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	root, problems := yamlx.Parse(data)
	r := fileReader{file: file, layer: layer{}, from: l.from}
	for _, p := range problems {
		r.fault(p.Line, p.Col, "%s", p.Message)
	}
	if root != nil && root.Kind != yamlx.Map {
		r.fault(root.Line, root.Col, "want a map of settings")
	} else if root != nil {
		r.walk("", root)
	}
	return r.layer, errors.Join(r.faults...)
}

// fileReader turns a document into values by key.
type fileReader struct {
	file   string
	layer  layer
	from   map[string]string
	faults []error
}

func (r *fileReader) fault(line, col int, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s:%d:%d: %s", r.file, line, col, fmt.Sprintf(format, args...)))
}

func (r *fileReader) walk(prefix string, n *yamlx.Node) {
	for _, p := range n.Pairs {
		key := strings.TrimPrefix(prefix+"."+p.Key.Text, ".")
		v := p.Value
		if key == "chains" && v.Kind == yamlx.Scalar {
			key = "chains.dir" // the short form, as the flag has it
		}
		if prefix == "brokers" && v.Kind == yamlx.Scalar {
			key += ".url"
		}
		s, inner := findSetting(key)
		switch {
		case strings.Contains(p.Key.Text, ".") || s == nil && !inner:
			r.fault(p.Key.Line, p.Key.Col, "there is no setting %q%s", key, suggest(key))
		case s == nil && v.Kind == yamlx.Map:
			r.walk(key, v)
		case s == nil && v.Null():
		case s == nil:
			r.fault(v.Line, v.Col, "%s holds settings; want a map", key)
		case v.Kind == yamlx.Map:
			r.fault(v.Line, v.Col, "%s is one value, not a map", key)
		default:
			r.set(key, v)
		}
	}
}

func (r *fileReader) set(key string, v *yamlx.Node) {
	value := v.Text
	if v.Kind == yamlx.List {
		var parts []string
		for _, i := range v.Items {
			if i.Kind != yamlx.Scalar {
				r.fault(i.Line, i.Col, "%s is a list of texts", key)
			}
			parts = append(parts, i.Text)
		}
		value = strings.Join(parts, ",")
	} else if v.Null() {
		value = ""
	}
	r.layer.put(key, value)
	r.from[key] = fmt.Sprintf("%s:%d:%d", r.file, v.Line, v.Col)
}

// notSettings are variables of ours that are no settings of a server.
var notSettings = []string{"WINDLASS_CONFIG", "WINDLASS_SERVER", "WINDLASS_TOKEN"}

func (l *loaded) readEnv() layer {
	out := layer{}
	known := slices.Clone(notSettings)
	for _, s := range settings {
		name := s.env()
		if name == "" {
			continue
		}
		known = append(known, name)
		if v, ok := os.LookupEnv(name); ok {
			out.put(s.key, v)
			l.from[s.key] = name
		}
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "WINDLASS_") && !slices.Contains(known, name) {
			l.warnings = append(l.warnings, fmt.Sprintf("the variable %s is no setting%s", name, engine.DidYouMean(name, known)))
		}
	}
	return out
}

func (l *loaded) readFlags(c *cobra.Command) (layer, error) {
	out := layer{}
	for _, s := range settings {
		if f := c.Flags().Lookup(s.name()); f != nil && f.Changed && s.name() != "" {
			v := f.Value.String()
			if many, ok := f.Value.(pflag.SliceValue); ok {
				v = strings.Join(many.GetSlice(), ",")
			}
			out.put(s.key, v)
			l.from[s.key] = "--" + s.name()
		}
	}
	sets, err := c.Flags().GetStringArray("set")
	if err != nil {
		return out, nil //nolint:nilerr // a verb without --set
	}
	var problems []error
	for _, kv := range sets {
		key, v, ok := strings.Cut(kv, "=")
		if key == "chains" {
			key = "chains.dir"
		}
		s, _ := findSetting(key)
		switch {
		case !ok:
			problems = append(problems, wrongUsage("--set %s: want KEY=VALUE", kv))
		case s == nil:
			problems = append(problems, wrongUsage("--set %s: there is no setting %q%s", kv, key, suggest(key)))
		default:
			out.put(key, v)
			l.from[key] = "--set"
		}
	}
	return out, errors.Join(problems...)
}

// takeAll reads every value by its setting.
func (l *loaded) takeAll() error {
	var problems []error
	for _, key := range l.keys() {
		s, _ := findSetting(key)
		v := l.values.String(key)
		var err error
		switch {
		case s.later != "" && !off(v):
			err = fmt.Errorf("this version does not have %s", s.later)
		case s.later == "":
			err = s.take(&l.Config, freeNames(s.key, key), v)
		}
		if err == nil {
			continue
		}
		from := l.from[key]
		err = fmt.Errorf("%s: %s: %w", from, key, err)
		if strings.HasPrefix(from, "--") && s.later == "" {
			err = &failure{err: err, usage: true}
		}
		problems = append(problems, err)
	}
	for name, s := range l.Secrets {
		if (s.File == "") == (s.Env == "") {
			problems = append(problems, fmt.Errorf("secrets.%s: give it a file or an env, one of them", name))
		}
	}
	for _, name := range sortedKeys(l.Brokers) {
		if err := l.Brokers[name].check(name, l.Secrets); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// keys lists what has a value, in the order of the table.
func (l *loaded) keys() []string {
	keys := l.values.Keys()
	order := func(key string) int {
		s, _ := findSetting(key)
		return slices.Index(settings, s)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a, b)) })
	return keys
}

// findSetting returns the setting of a key; inner says that settings lie below it.
func findSetting(key string) (s *setting, inner bool) {
	parts := strings.Split(key, ".")
	for _, s := range settings {
		pattern := strings.Split(s.key, ".")
		if len(parts) > len(pattern) || !matches(pattern[:len(parts)], parts) {
			continue
		}
		if len(parts) == len(pattern) {
			return s, false
		}
		inner = true
	}
	return nil, inner
}

func matches(pattern, parts []string) bool {
	for i, p := range pattern {
		if p != parts[i] && (p != "*" || parts[i] == "") {
			return false
		}
	}
	return true
}

// freeNames are the parts of key that stand for a * in pattern.
func freeNames(pattern, key string) []string {
	var out []string
	parts := strings.Split(key, ".")
	for i, p := range strings.Split(pattern, ".") {
		if p == "*" {
			out = append(out, parts[i])
		}
	}
	return out
}

func suggest(key string) string {
	var known []string
	for _, s := range settings {
		parts := strings.Split(s.key, ".")
		for i := range parts {
			if k := strings.Join(parts[:i+1], "."); !strings.Contains(k, "*") && !slices.Contains(known, k) {
				known = append(known, k)
			}
		}
	}
	return engine.DidYouMean(key, known)
}
