package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// js is a piece of JSON Schema.
type js = map[string]any

// Schema writes the JSON Schema (2020-12) of a chain file, for editors: what may
// stand where, and what each word means. Everything in it comes from the specs
// of the registry's nodes and from the words that the loader itself knows.
//
// It sees one file and no roads, so a chain that it lets pass may still be
// refused by the loader. The same registry gives the same bytes.
func Schema(reg *Registry) ([]byte, error) {
	s := schemaMaker{reg}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // patterns and help are read by people too
	e.SetIndent("", "  ")
	if err := e.Encode(s.chain()); err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return b.Bytes(), nil
}

type schemaMaker struct{ reg *Registry }

// chain is the schema of a whole file.
func (s schemaMaker) chain() js {
	return js{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Windlass chain",
		"description": "One chain: what starts it, its steps, and its side roads.",
		"type":        "object",
		"required":    []string{"chain", "summary", "trigger"},
		"properties": js{
			"chain":    help(refTo("name"), "The chain's name; the file is called NAME.yaml."),
			"summary":  help(refTo("text"), "One sentence for lists, graphs and pages."),
			"trigger":  help(js{"anyOf": []js{refTo("event"), refTo("trigger"), list1(js{"anyOf": []js{refTo("event"), refTo("trigger")}})}}, "What starts the chain: an event, a map, or a list of these. A chain with `call` is run by other chains."),
			"steps":    help(refTo("steps"), "The main road, read downwards: the main outlet of a step leads to the next one, and the end of the list ends the run."),
			"branches": help(byName(refTo("steps")), "Side roads by name. A branch never falls into the next one."),
			"on_error": help(refTo("target"), "Where errors of any step go that has no `error` outlet of its own."),
			"params":   help(byName(refTo("param")), "Values that a caller, an assignment or an operator gives; fixed during a run."),
			"vars":     help(byName(refTo("fixed")), "Working values of one run. The literal gives the type and the start; `set` writes them."),
			"fields":   help(s.fields(), "Types of what devices report or have as attributes. Then other members of that root are refused."),
			"outlets":  help(js{"type": "array", "minItems": 1, "uniqueItems": true, "items": refTo("name")}, "Outlets of a chain that is called, the main one first; left out: done."),
			"limits":   help(s.limits(), "Bounds of one turn."),
			"enabled":  js{"type": "boolean", "default": true, "description": "false: the file is read, and the chain is not loaded."},
		},
		"patternProperties":    js{"^x-": help(js{}, "Ignored: a place for YAML anchors.")},
		"additionalProperties": false,
		"if":                   js{"not": js{"required": []string{"steps"}}},
		"then": js{"properties": js{"trigger": js{"anyOf": []js{
			{"type": "object", "required": []string{"to"}},
			{"type": "array", "items": js{"type": "object", "required": []string{"to"}}},
		}}}},
		"$defs": s.defs(),
	}
}

func (s schemaMaker) defs() js {
	events := append(sortedKeys(eventWords()), wordCall)
	d := js{
		"name":       hint(js{"type": "string", "pattern": nameForm.String(), "not": js{"enum": reserved}}, "a name: small letters, digits and _, a letter first, 63 at most"),
		"text":       hint(js{"type": []string{"string", "number", "boolean"}}, "text"),
		"fixed_text": hint(js{"type": []string{"string", "number", "boolean"}, "pattern": noExpression}, "a value that is known when the chain is loaded; no ${…} here"),
		"fixed":      hint(js{"pattern": noExpression}, "a value that is known when the chain is loaded; no ${…} here"),
		"condition":  hint(js{"type": []string{"string", "number", "boolean"}, "pattern": bareExpression}, "a bare expression: leave ${ and } away, and put quotes round one that begins with [ or {"),
		"type":       oneOfWords(paramTypes, typeDocs, "there is no such type; want one of "+list(words(paramTypes))),
		"event":      oneOfWords(events, eventDocs, "there is no such event; want one of "+list(events)),
		"target":     s.target(),
		"trigger":    js{"if": js{"type": "object", "required": []string{"node"}}, "then": refTo("door"), "else": refTo("heard")},
		"heard":      s.trigger(),
		"door":       s.doors(),
		"param":      s.param(),
		"steps":      js{"type": "array", "minItems": 1, "maxItems": maxSteps, "items": refTo("step")},
		"step":       s.step(),
		"retry":      s.retry(),
	}
	for _, name := range s.reg.Names() {
		f := s.reg.byName[name]
		if f.Spec.Source {
			d["door."+name] = s.door(f)
		} else {
			d["node."+name] = s.node(f)
		}
	}
	return d
}

func (s schemaMaker) target() js {
	return hint(js{
		"type":     "string",
		"pattern":  `^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$`,
		"not":      js{"enum": []string{"error", "other"}},
		"examples": []string{"next", "end"}, // editors offer them
	}, "the name of a step or a branch, next or end")
}

func (s schemaMaker) trigger() js {
	return js{
		"type":     "object",
		"required": []string{"event"},
		"properties": js{
			"event":    help(refTo("event"), "What happens."),
			"profiles": help(js{"type": "array", "items": refTo("text")}, "For devices of these profiles alone; wins over a chain that names none."),
			"kind":     help(wordSchema([]string{"firmware", "software"}, false), "For one kind alone."),
			"if":       help(refTo("condition"), "Judged before a run is made: a message that fails it costs no run."),
			"observe":  js{"type": "boolean", "default": false, "description": "Listens beside the chain that answers: it runs after that one has ended well, and cannot reply."},
			"to":       help(refTo("target"), "The step or branch to start at; left out, the first step."),
		},
		"additionalProperties": false,
	}
}

// param is the declaration of a param; its literals are of its type.
func (s schemaMaker) param() js {
	var by []js
	for _, t := range paramTypes {
		lit := typeSchema(t, false)
		of := js{"default": lit}
		if slices.Contains([]Type{IntType, NumberType, DurationType, SizeType, PercentType}, t) {
			of["min"], of["max"] = lit, lit
		}
		by = append(by, js{"if": js{"properties": js{"type": js{"const": t}}, "required": []string{"type"}}, "then": js{"properties": of}})
	}
	return js{
		"type":     "object",
		"required": []string{"type"},
		"properties": js{
			"type":    help(refTo("type"), "The type of its values."),
			"default": help(js{}, "The value where nobody gives one; without it the param is required."),
			"note":    help(refTo("text"), "What it is for."),
			"enum":    help(js{"type": "array", "minItems": 1, "items": refTo("text")}, "The only texts allowed."),
			"min":     help(js{}, "The smallest value allowed."),
			"max":     help(js{}, "The largest value allowed."),
		},
		"additionalProperties": false,
		"allOf":                by,
	}
}

func (s schemaMaker) fields() js {
	of := js{}
	for _, root := range fieldRoots() {
		of[root] = help(js{"type": "object", "additionalProperties": refTo("type")}, fieldDocs[root])
	}
	return js{"type": "object", "properties": of, "additionalProperties": false}
}

func (s schemaMaker) limits() js {
	return js{
		"type": "object",
		"properties": js{
			"steps": js{"type": "integer", "minimum": 1, "maximum": 100_000, "default": 1000, "description": "Steps of one turn."},
			"time":  help(typeSchema(DurationType, false), "Length of one turn, 30s at most. Default: 5s."),
		},
		"additionalProperties": false,
	}
}

// fieldRoots are the roots whose members a chain may type.
func fieldRoots() []string { return sortedKeys(fieldDocs) }

func refTo(name string) js { return js{"$ref": "#/$defs/" + name} }

// help adds what an editor shows.
func help(s js, doc string) js {
	s["description"] = doc
	return s
}

// hint adds what an editor says where a value does not fit; other readers of a
// schema pass over the word.
func hint(s js, message string) js {
	s["errorMessage"] = "want " + message
	return s
}

func list1(of js) js { return js{"type": "array", "minItems": 1, "items": of} }

// byName is a map whose keys are names of the language.
func byName(of js) js {
	return js{"type": "object", "propertyNames": refTo("name"), "additionalProperties": of}
}

// oneOfWords is an enum whose words explain themselves, in the form that editors
// know.
func oneOfWords[W ~string](words []W, docs map[string]string, wrong string) js {
	each := make([]string, len(words))
	for i, w := range words {
		each[i] = docs[string(w)]
	}
	return js{"enum": words, "enumDescriptions": each, "errorMessage": wrong}
}
