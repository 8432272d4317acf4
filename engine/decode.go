package engine

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// decoder fills the config of one step from its "with". It records faults and
// goes on, so that all of them are found at once.
type decoder struct {
	sc    *scope
	p     *proto // the step
	spec  *Spec
	step  *yamlx.Node // where the step stands
	with  *yamlx.Node // may be nil
	field *Field      // the one being decoded
	// noKind is set where the step takes a kind and none was written.
	noKind bool
}

func (d *decoder) count() int { return d.sc.faults().count() }

func (d *decoder) fault(at *yamlx.Node, rule, format string, args ...any) {
	d.sc.faults().add(d.sc.src(), at, rule, format, args...)
}

// keyNode finds where a setting was written.
func (d *decoder) keyNode(key string) *yamlx.Node {
	if d.with != nil {
		for _, p := range d.with.Pairs {
			if p.Key.Text == key {
				return p.Key
			}
		}
	}
	return nil
}

// config fills the fields of a step's config.
func (d *decoder) config(v reflect.Value) {
	if d.with != nil && d.with.Kind != yamlx.Map {
		if !d.with.Null() {
			d.fault(d.with, ruleWrongType, "with is %s, want a map of settings", d.with.Kind)
			return
		}
	} else if d.with != nil {
		d.fields(v, d.with, true)
	}
	for i := range d.spec.Fields {
		f := &d.spec.Fields[i]
		if f.Required && d.with.Get(f.Key) == nil {
			d.fault(d.step, ruleMissing, "%s needs the setting %s", d.spec.Name, f.Key)
		}
		d.declared(f)
		d.broker(f)
	}
	for i := range v.NumField() {
		if k, ok := v.Field(i).Addr().Interface().(*Kind); ok && !k.Given() && !d.required(tagOf(v.Type().Field(i))) {
			d.noKind = true
		}
	}
}

// broker holds the name of a broker to those of the configuration.
func (d *decoder) broker(f *Field) {
	n := d.with.Get(f.Key)
	known := d.sc.b.opts.Brokers
	if !f.Broker || n == nil || known == nil || n.Text == ota.DevicesBroker || known[n.Text] || hasExpression(n.Text) {
		return
	}
	names := append(sortedKeys(known), ota.DevicesBroker)
	d.fault(n, ruleMissing, "the configuration has no broker %s%s; name it with --mqtt-broker %s=URL", n.Text, didYouMean(n.Text, names), n.Text)
}

// declared holds the names of a setting to the fields that the chain declares in
// their scope.
func (d *decoder) declared(f *Field) {
	n := d.with.Get(f.Key)
	if f.Among == "" || n == nil {
		return
	}
	scope := f.Among
	if at := d.with.Get(f.Among); at != nil {
		scope = at.Text
	}
	fields, closed := d.sc.fields[scope]
	if !closed {
		return
	}
	unknown := func(at *yamlx.Node) {
		d.fault(at, ruleUnknownKey, "fields.%s does not declare %s%s", scope, at.Text, didYouMean(at.Text, sortedKeys(fields)))
	}
	for _, p := range n.Pairs {
		t, ok := fields[p.Key.Text]
		if !ok {
			unknown(p.Key)
		} else if _, err := readLiteral(t, p.Value); err != nil && !p.Value.Null() && !hasExpression(p.Value.Text) {
			d.fault(p.Value, ruleBadLiteral, "%s: %s, as fields.%s declares it", p.Key.Text, err, scope)
		}
	}
	for _, x := range n.Items {
		if _, ok := fields[x.Text]; !ok && x.Kind == yamlx.Scalar && !hasExpression(x.Text) {
			unknown(x)
		}
	}
}

func (d *decoder) required(key string) bool {
	return slices.ContainsFunc(d.spec.Fields, func(f Field) bool { return f.Key == key && f.Required })
}

// tagOf is the key of a field of a config; "" for one that is not read.
func tagOf(f reflect.StructField) string {
	tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if tag == "-" || !f.IsExported() {
		return ""
	}
	return tag
}

// keysOf lists the keys of a config.
func keysOf(t reflect.Type) []string {
	var out []string
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if k := tagOf(t.Field(i)); k != "" {
			out = append(out, k)
		}
	}
	return out
}

func (d *decoder) fields(v reflect.Value, n *yamlx.Node, top bool) {
	for _, p := range n.Pairs {
		i := fieldIndex(v.Type(), p.Key.Text)
		if i < 0 {
			d.fault(p.Key, ruleUnknownKey, "%s has no setting %s%s", d.spec.Name, p.Key.Text, didYouMean(p.Key.Text, keysOf(v.Type())))
			continue
		}
		if top {
			d.field = d.spec.field(p.Key.Text)
		}
		d.value(v.Field(i), p.Value)
	}
}

func fieldIndex(t reflect.Type, key string) int {
	for i := range t.NumField() {
		if k := tagOf(t.Field(i)); k != "" && k == key {
			return i
		}
	}
	return -1
}

func (s *Spec) field(key string) *Field {
	for i := range s.Fields {
		if s.Fields[i].Key == key {
			return &s.Fields[i]
		}
	}
	return &Field{Key: key}
}

// yamlValue is a setting, which decodes itself.
type yamlValue interface {
	decode(d *decoder, n *yamlx.Node)
}

func (d *decoder) value(v reflect.Value, n *yamlx.Node) {
	if n.Null() && n.Text == "" && v.Kind() != reflect.Interface {
		d.fault(n, ruleMissing, "%s is empty; leave the key away, or write \"\"", d.field.Key)
		return
	}
	if s, ok := v.Addr().Interface().(yamlValue); ok {
		s.decode(d, n)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(p.Elem(), n)
		v.Set(p)
	case reflect.Slice:
		d.slice(v, n)
	case reflect.Map:
		d.mapping(v, n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[ota.Pace]() || v.Type() == reflect.TypeFor[time.Time]() {
			d.literal(v, n)
			return
		}
		if n.Kind != yamlx.Map {
			d.fault(n, ruleWrongType, "%s is %s, want a map", d.field.Key, n.Kind)
			return
		}
		d.fields(v, n, false)
	case reflect.Interface:
		if x := n.Value(); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.literal(v, n)
	}
}

func (d *decoder) slice(v reflect.Value, n *yamlx.Node) {
	if n.Kind != yamlx.List {
		d.fault(n, ruleWrongType, "%s is %s, want a list", d.field.Key, n.Kind)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
	for i, x := range n.Items {
		d.value(out.Index(i), x)
	}
	v.Set(out)
}

func (d *decoder) mapping(v reflect.Value, n *yamlx.Node) {
	if n.Kind != yamlx.Map {
		d.fault(n, ruleWrongType, "%s is %s, want a map", d.field.Key, n.Kind)
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.Pairs))
	for _, p := range n.Pairs {
		x := reflect.New(v.Type().Elem()).Elem()
		d.value(x, p.Value)
		out.SetMapIndex(reflect.ValueOf(p.Key.Text).Convert(v.Type().Key()), x)
	}
	v.Set(out)
}

// literal fills plain Go from a scalar that must be known at load.
func (d *decoder) literal(v reflect.Value, n *yamlx.Node) {
	if n.Kind != yamlx.Scalar {
		d.fault(n, ruleWrongType, "%s is %s, want one value", d.field.Key, n.Kind)
		return
	}
	if hasExpression(n.Text) {
		d.fault(n, ruleBadLiteral, "%s must be known when the chain is loaded; no ${…} here", d.field.Key)
		return
	}
	if err := literalInto(v, n); err != nil {
		d.fault(n, ruleBadLiteral, "%s: %s", d.field.Key, err)
		return
	}
	if v.Kind() == reflect.String {
		d.enum(n, v.String())
	}
}

func (d *decoder) enum(n *yamlx.Node, got string) {
	if e := d.field.Enum; len(e) > 0 && !slices.Contains(e, got) {
		d.fault(n, ruleBadWord, "%s is %q, want one of %s%s", d.field.Key, got, list(e), didYouMean(got, e))
	}
}

// literalInto reads a scalar as v's type.
func literalInto(v reflect.Value, n *yamlx.Node) error {
	x, err := parseAs(v.Type(), n)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(x).Convert(v.Type()))
	return nil
}

// parseAs reads a scalar as a Go type; the type decides, never the look.
func parseAs(t reflect.Type, n *yamlx.Node) (any, error) {
	s := n.Text
	switch t {
	case reflect.TypeFor[time.Duration]():
		return parseDuration(s)
	case reflect.TypeFor[Bytes]():
		return parseSize(s)
	case reflect.TypeFor[Percent]():
		return parsePercent(s)
	case reflect.TypeFor[ota.Pace]():
		return parseRate(s)
	case reflect.TypeFor[time.Time]():
		return parseTime(s)
	case reflect.TypeFor[ota.Kind]():
		return parseKind(s)
	}
	if n.Quoted && t.Kind() != reflect.String {
		return nil, fmt.Errorf("%q is text; take the quotes away", s)
	}
	switch t.Kind() {
	case reflect.String:
		return unescape(s), nil
	case reflect.Bool:
		return parseBool(s)
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint8:
		return parseInt(s)
	case reflect.Float64:
		return parseNumber(s)
	}
	return nil, fmt.Errorf("a setting cannot be a %s", t)
}
