package engine

import "strings"

// The forms of literals, for a reader that knows neither Go nor our parser. Each
// is no stricter than the parser is.
const (
	numberForm   = `(?:[0-9]+\.?[0-9]*|\.[0-9]+)`
	durationForm = `(?:` + numberForm + `(?:ns|us|µs|ms|s|m|h|d|w))+`

	// oneExpression is text that is one ${…} whole, whose value keeps its type.
	oneExpression = `^\$\{[\s\S]*\}$`
	// noExpression is text without any ${…}; $${ stands for itself.
	noExpression = `^(?:[^$]|\$\$\{|\$(?:[^{]|$))*$`
	// bareExpression is text that does not begin as ${ and has something in it.
	bareExpression = `^\s*(?:[^$\s]|\$(?:[^{]|$))`
)

// literalForm is how the scalars of a type look, besides YAML's own types.
var literalForms = map[Type]struct{ form, hint string }{
	DurationType: {`0|` + durationForm, "a duration: 500ms, 90s, 15m, 12h, 3d or 2w"},
	SizeType:     {numberForm + `(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?`, "a size: 512, 4KiB, 64MiB or 1GB"},
	PercentType:  {`\s*(?:0*(?:100|[0-9]{1,2})\.?|0*[0-9]{0,2}\.[0-9]+|0*100\.0+)\s*%`, "a share: 2%, from 0% to 100%"},
	RateType:     {`unlimited|0*[1-9][0-9]*/` + durationForm, "a rate: 100/1m, 10/1h or unlimited"},
	TimeType:     {`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})`, "a time: 2026-12-01T02:00:00Z"},
}

// typeSchema is what may be written for a type; with expressions, text that is
// one ${…} may stand for it.
func typeSchema(t Type, expressions bool) js {
	plain := map[Type]string{BoolType: "boolean", IntType: "integer", NumberType: "number", ListType: "array", MapType: "object"}
	switch t {
	case TextType:
		return refTo("text")
	case KindType:
		return wordSchema([]string{"firmware", "software"}, expressions)
	case BoolType, IntType, NumberType, ListType, MapType:
		if !expressions {
			return hint(js{"type": plain[t]}, string(t))
		}
		return hint(js{"type": []string{plain[t], "string"}, "pattern": oneExpression}, string(t)+", or one ${…}; text in quotes is no "+string(t))
	case AnyType, BytesType:
		return js{}
	}
	l := literalForms[t]
	form, want := l.form, l.hint
	if expressions {
		form += `|\$\{[\s\S]*\}`
		want += ", or one ${…}"
	}
	out := hint(js{"type": "string", "pattern": "^(?:" + form + ")$"}, want)
	switch t {
	case DurationType:
		out["type"] = []string{"string", "integer"} // a bare 0 has no unit
		out["if"], out["then"] = js{"type": "integer"}, hint(js{"const": 0}, want)
	case SizeType:
		out["type"], out["minimum"] = []string{"string", "integer"}, 0
	}
	return out
}

// wordSchema is one of some words, or an expression.
func wordSchema(words []string, expressions bool) js {
	if !expressions {
		return hint(js{"enum": words}, strings.Join(words, ", "))
	}
	return hint(js{"anyOf": []js{{"enum": words}, {"type": "string", "pattern": oneExpression}}}, strings.Join(words, ", ")+", or one ${…}")
}

var typeDocs = map[string]string{
	"text": "Text, whatever it looks like.", "bool": "true or false.", "int": "A whole number.", "number": "Any number.",
	"duration": "500ms, 90s, 15m, 12h, 3d, 2w.", "size": "Bytes: 512, 4KiB, 64MiB, 1GB.", "percent": "A share: 2%.",
	"rate": "100/1m, 10/1h, unlimited.", "time": "2026-12-01T02:00:00Z.", "kind": "firmware or software.",
	"list": "A list.", "map": "Values by name.", "any": "Anything; it may be absent.",
}

var eventDocs = map[string]string{
	"telemetry":            "A device reports values: `msg.values`, `msg.ts`.",
	"attributes":           "A device reports attributes: `msg.values`, `msg.ts`.",
	"attributes_requested": "A device asks for attributes and waits: `msg.client_keys`, `msg.shared_keys`.",
	"chunk_requested":      "A device asks for a piece of its package and waits: `msg.kind`, `msg.title`, `msg.version`, `msg.size`, `msg.chunk`.",
	"rpc_requested":        "A device asks the server something and waits: `msg.method`, `msg.params`, `msg.limits`.",
	"rpc_answered":         "A device has answered a request: `msg.method`, `msg.result`. Many chains may hear it.",
	"connected":            "A device is there: `msg.transport`, `msg.address`.",
	"disconnected":         "A device is gone: `msg.transport`, `msg.address`. Many chains may hear it.",
	"assigned":             "Another package is in force for a device: `msg.kind`, `msg.cause`, `msg.rollout`.",
	"unassigned":           "The assignment that a device followed is gone, and nothing took its place: `msg.kind`, `msg.cause`, `msg.rollout`.",
	"offer_due":            "The turn of a queued update has come: `msg.kind`.",
	"state_timeout":        "An update was silent for too long: `msg.kind`.",
	"update_finished":      "An update is over: `msg.kind`, `msg.state`. Many chains may hear it.",
	"rollout":              "A rollout begins; the assignment names the chain that conducts it.",
	"rollout_finished":     "A rollout is over: `msg.state`. Many chains may hear it.",
	"package_added":        "A package was uploaded: `msg.kind`. It can be assigned when this run has ended well.",
	"scheduled":            "A schedule is due: `msg.type`, `msg.target`, `msg.package` and more.",
	wordCall:               "Nothing: other chains call this one.",
}

var fieldDocs = map[string]string{
	"telemetry": "The latest values that devices reported.",
	"client":    "Attributes that devices report.",
	"shared":    "Attributes that devices are told.",
	"server":    "Attributes that devices do not see.",
	"labels":    "Labels of packages.",
}

var retryDocs = map[string]string{
	"attempts":    "How often in all, the first time included. Default: 3.",
	"backoff":     "The wait before the second attempt. Default: 1s.",
	"factor":      "What each further wait is multiplied by. Default: 2.",
	"max_backoff": "The longest wait. Default: 1m.",
	"jitter":      "By how much of itself a wait may be longer. Default: 20%.",
}
