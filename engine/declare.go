package engine

import (
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

var paramTypes = []Type{TextType, BoolType, IntType, NumberType, DurationType, SizeType, PercentType, RateType, TimeType, KindType, ListType, MapType, AnyType}

func (rd *reader) params(d *doc, n *yamlx.Node) {
	for _, p := range rd.mapOf(n, "params") {
		name := rd.name(p.Key, "param")
		decl := &paramDecl{name: name, at: p.Key, typ: TextType}
		rd.param(decl, p.Value)
		if name != "" {
			d.params = append(d.params, decl)
		}
	}
}

func (rd *reader) param(decl *paramDecl, n *yamlx.Node) {
	pairs := rd.mapOf(n, "a param")
	if t := n.Get("type"); t == nil {
		rd.fault(n, ruleMissing, "a param needs the key type")
	} else if decl.typ = Type(t.Text); !slices.Contains(paramTypes, decl.typ) {
		rd.fault(t, ruleBadWord, "there is no type %s%s", t.Text, didYouMean(t.Text, words(paramTypes)))
		decl.typ = AnyType
	}
	for _, p := range pairs {
		switch p.Key.Text {
		case "type":
		case "note":
			rd.text(p.Value, "note")
		case "enum":
			decl.enum = rd.texts(p.Value, "enum")
		case "min", "max":
			v, err := readLiteral(decl.typ, p.Value)
			f, ok := toNumber(plainNumber(v))
			if err != nil || !ok {
				rd.fault(p.Value, ruleBadLiteral, "%s is %s, want %s", p.Key.Text, describeNode(p.Value), decl.typ)
			} else if p.Key.Text == "min" {
				decl.min = &f
			} else {
				decl.max = &f
			}
		case "default":
			v, err := readLiteral(decl.typ, p.Value)
			if err != nil {
				rd.fault(p.Value, ruleBadLiteral, "default: %s", err)
				v = decl.typ.zero()
			}
			decl.def, decl.given = v, true
		default:
			rd.fault(p.Key, ruleUnknownKey, "a param has no key %s%s", p.Key.Text, didYouMean(p.Key.Text, paramKeys))
		}
	}
	if d := n.Get("default"); decl.given && d != nil {
		if err := decl.check(decl.def); err != nil {
			rd.fault(d, ruleBadLiteral, "default: %s", err)
		}
	}
}

// check holds a value against the param's enum, min and max.
func (p *paramDecl) check(v any) error {
	if s, ok := v.(string); ok && len(p.enum) > 0 && !slices.Contains(p.enum, s) {
		return &FieldError{p.name, errorText("is " + s + ", want one of " + list(p.enum))}
	}
	f, ok := toNumber(plainNumber(v))
	if !ok {
		return nil
	}
	if p.min != nil && f < *p.min || p.max != nil && f > *p.max {
		return &FieldError{p.name, errorText("is " + printValue(v) + ", which is out of its bounds")}
	}
	return nil
}

type errorText string

func (e errorText) Error() string { return string(e) }

// plainNumber makes durations comparable with numbers.
func plainNumber(v any) any {
	if d, ok := v.(time.Duration); ok {
		return float64(d)
	}
	return v
}

// readLiteral reads a scalar, list or map as a type of the language, into the
// form in which a run has it.
func readLiteral(t Type, n *yamlx.Node) (any, error) {
	switch t {
	case AnyType:
		return n.Value(), nil
	case ListType, MapType:
		want := yamlx.List
		if t == MapType {
			want = yamlx.Map
		}
		if n.Kind != want {
			return nil, errorText("is " + n.Kind.String() + ", want " + want.String())
		}
		return n.Value(), nil
	}
	if n.Kind != yamlx.Scalar {
		return nil, errorText("is " + n.Kind.String() + ", want " + string(t))
	}
	if n.Quoted && (t == IntType || t == NumberType || t == BoolType) {
		return nil, errorText("is text in quotes, want " + string(t))
	}
	return readText(t, n.Text)
}

// readText reads text as a type of the language, as in --set soak=6h.
func readText(t Type, s string) (any, error) {
	switch t {
	case TextType:
		return unescape(s), nil
	case KindType:
		k, err := parseKind(s)
		return string(k), err
	case BoolType:
		return parseBool(s)
	case IntType:
		return parseInt(s)
	case NumberType:
		return parseNumber(s)
	case DurationType:
		return parseDuration(s)
	case SizeType:
		b, err := parseSize(s)
		return int(b), err
	case PercentType:
		p, err := parsePercent(s)
		return float64(p), err
	case RateType:
		return parseRate(s)
	case TimeType:
		return parseTime(s)
	case ListType:
		var out []any
		for x := range strings.SplitSeq(s, ",") {
			out = append(out, strings.TrimSpace(x))
		}
		return out, nil
	case AnyType:
		return (&yamlx.Node{Text: s}).Value(), nil
	}
	return nil, errorText("cannot be given as text")
}

func (rd *reader) vars(d *doc, n *yamlx.Node) {
	for _, p := range rd.mapOf(n, "vars") {
		name := rd.name(p.Key, "var")
		v := p.Value.Value()
		decl := &varDecl{name: name, value: v}
		switch x := v.(type) {
		case nil:
			decl.typ = AnyType
		case string:
			decl.typ, decl.value = guessVar(p.Value)
		case bool:
			decl.typ = BoolType
		case int:
			decl.typ = IntType
		case float64:
			decl.typ = NumberType
		case []any:
			decl.typ = ListType
		case map[string]any:
			decl.typ = MapType
		default:
			rd.fault(p.Value, ruleBadLiteral, "a var begins with a literal, not with %v", x)
		}
		if hasExpression(p.Value.Text) {
			rd.fault(p.Value, ruleBadLiteral, "a var begins with a literal; use set for an expression")
		}
		if name != "" {
			d.vars = append(d.vars, decl)
		}
	}
}

// guessVar gives the type of a literal that YAML takes for text: durations,
// shares and times have literals of their own.
func guessVar(n *yamlx.Node) (Type, any) {
	if !n.Quoted {
		if n.Text != "" && n.Text[0] >= '0' && n.Text[0] <= '9' {
			if d, err := parseDuration(n.Text); err == nil {
				return DurationType, d
			}
			if p, err := parsePercent(n.Text); err == nil {
				return PercentType, float64(p)
			}
			if t, err := parseTime(n.Text); err == nil {
				return TimeType, t
			}
			if b, err := parseSize(n.Text); err == nil {
				return SizeType, int(b)
			}
		}
	}
	return TextType, unescape(n.Text)
}

func (rd *reader) fields(d *doc, n *yamlx.Node) {
	d.fields = map[string]map[string]Type{}
	known := []string{"telemetry", "client", "shared", "server", "labels"}
	for _, p := range rd.mapOf(n, "fields") {
		if !slices.Contains(known, p.Key.Text) {
			rd.fault(p.Key, ruleUnknownKey, "fields have no root %s%s", p.Key.Text, didYouMean(p.Key.Text, known))
			continue
		}
		types := map[string]Type{}
		for _, f := range rd.mapOf(p.Value, p.Key.Text) {
			t := Type(f.Value.Text)
			if !slices.Contains(paramTypes, t) {
				rd.fault(f.Value, ruleBadWord, "there is no type %s%s", f.Value.Text, didYouMean(f.Value.Text, words(paramTypes)))
				t = AnyType
			}
			types[f.Key.Text] = t
		}
		d.fields[p.Key.Text] = types
	}
}

// heardByMany says whether the event may have more than one chain.
func heardByMany(e ota.Event) bool {
	switch e {
	case ota.RPCAnswered, ota.Disconnected, ota.UpdateFinished, ota.RolloutFinished:
		return true
	}
	return false
}

// startFacts are the roots that an event brings along.
func startFacts(e ota.Event) []string {
	switch e {
	case ota.OfferDue, ota.StateTimeout, ota.UpdateFinished:
		return []string{"device", "update"}
	case ota.RolloutStarted, ota.RolloutFinished:
		return []string{"rollout"}
	case ota.PackageAdded:
		return []string{"package", factPackageHome}
	case ota.Scheduled:
		return nil
	}
	return []string{"device"}
}

// factDeviceHome holds where the run's home is a device; a device that a step
// has found is only read.
const factDeviceHome = "the device as subject"

// factPackageHome holds where the run's home is a package.
const factPackageHome = "the package as subject"
