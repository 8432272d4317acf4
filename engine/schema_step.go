package engine

import (
	"reflect"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// step is the schema of a step: its keys, and by its node what with and to may
// hold.
func (s schemaMaker) step() js {
	var nodes []string
	docs := map[string]string{}
	var by []js
	for _, name := range s.reg.Names() {
		spec := s.reg.byName[name].Spec
		if spec.Source {
			continue
		}
		nodes, docs[name] = append(nodes, name), spec.Summary
		by = append(by, js{
			"if":   js{"properties": js{"node": js{"const": name}}, "required": []string{"node"}},
			"then": refTo("node." + name),
		})
	}
	return js{
		"type":     "object",
		"required": []string{"node"},
		"properties": js{
			"node":    help(oneOfWords(nodes, docs, "there is no such node; windlass nodes lists them"), "What the step does."),
			"name":    help(refTo("name"), "The step's name: needed where a list holds the same node twice, and for steps.NAME."),
			"when":    help(refTo("condition"), "false: this step is skipped, and the next one of the list follows."),
			"with":    help(js{"type": []string{"object", "null"}}, "The node's settings."),
			"to":      help(js{"type": []string{"object", "null"}, "additionalProperties": refTo("target")}, "Where outlets lead, other than the main one to the next step."),
			"retry":   help(refTo("retry"), "Tries the step again after an error of code busy."),
			"timeout": help(typeSchema(DurationType, false), "How long one attempt may take; running out is an error of code busy."),
			"note":    help(refTo("text"), "Shown in graphs and pages."),
		},
		"additionalProperties": false,
		"allOf":                by,
	}
}

// node is what a step of one type must be.
func (s schemaMaker) node(f Factory) js {
	spec := f.Spec
	with := js{"type": []string{"object", "null"}, "description": spec.Summary}
	if spec.Doc != "" {
		with["description"] = spec.Summary + "\n\n" + spec.Doc
	}
	var need []string
	if spec.Open {
		with["propertyNames"] = refTo("name")
	} else {
		with["properties"], with["additionalProperties"] = s.settings(f), false
	}
	if must := requiredOf(spec.Fields); len(must) > 0 {
		with["required"], with["type"] = must, "object"
		need = append(need, "with")
	}
	to, wired := s.outlets(spec)
	if wired {
		need = append(need, "to")
	}
	out := js{"properties": js{"with": with, "to": to}}
	if len(need) > 0 {
		out["required"] = need
	}
	return out
}

// outlets is the schema of a step's to; wired says that it must be there.
func (s schemaMaker) outlets(spec Spec) (to js, wired bool) {
	of := js{"error": help(refTo("target"), "The step could not be done; `error.code` and `error.message` say why.")}
	var must []string
	for i, o := range spec.Outlets {
		doc := o.Doc
		switch {
		case i == 0 && !spec.NoMain:
			doc += "\n\nThe main outlet: left out, it leads to the next step."
		case o.MayEnd:
			doc += "\n\nMay be left out, and then ends the run."
		default:
			doc += "\n\nMust be wired."
			must = append(must, o.Name)
		}
		of[o.Name] = help(refTo("target"), strings.TrimSpace(doc))
	}
	to = js{"type": []string{"object", "null"}, "properties": of, "additionalProperties": false}
	if ownOutlets(spec) {
		to["additionalProperties"] = refTo("target")
	}
	if len(must) > 0 {
		to["required"], to["type"] = must, "object"
	}
	return to, len(must) > 0
}

// ownOutlets says whether the outlets come from the step itself: from the cases
// of a switch, or from the chain that is called.
func ownOutlets(spec Spec) bool { return spec.Name == wordCall || spec.Name == "switch" }

func requiredOf(fields []Field) []string {
	var out []string
	for _, f := range fields {
		if f.Required {
			out = append(out, f.Key)
		}
	}
	return out
}

// settings is the schema of each setting, with its help and its default.
func (s schemaMaker) settings(f Factory) js {
	out := js{}
	for _, d := range f.Describe() {
		v := js{}
		if i := fieldIndex(f.config, d.Key); i >= 0 {
			v = goSchema(f.config.Field(i).Type, d.Enum)
		}
		if spec := f.Spec.Name; spec == wordCall && d.Key == "args" || spec == wordReturn && d.Key == "values" {
			v = byName(js{}) // of the types of the other chain
		}
		doc := d.Doc
		if d.Type != "" && len(d.Enum) == 0 {
			doc += "\n\nType: " + d.Type + "."
		}
		if d.Default != "" {
			doc += " Default: " + d.Default + "."
			v["default"] = plainDefault(d)
		}
		if d.Secret {
			doc += " May hold ${secret.NAME}."
		}
		out[d.Key] = help(v, doc)
	}
	return out
}

// plainDefault is a default as an editor writes it.
func plainDefault(d SettingDoc) any {
	if d.Type == string(TextType) {
		return d.Default
	}
	return (&yamlx.Node{Text: d.Default}).Value()
}

// goSchema is what the decoder reads into a field of a config.
func goSchema(t reflect.Type, enum []string) js {
	switch reflect.Zero(t).Interface().(type) {
	case Cond, *Cond, Value:
		return refTo("condition")
	case Texts:
		item := refTo("text")
		if len(enum) > 0 {
			item = wordSchema(enum, true)
		}
		return js{"type": []string{"array", "string"}, "items": item, "pattern": oneExpression}
	case Map:
		return js{"type": []string{"object", "string"}, "additionalProperties": refTo("text"), "pattern": oneExpression}
	case interface{ settingType() Type }:
		typ := reflect.Zero(t).Interface().(interface{ settingType() Type }).settingType()
		if typ == TextType && len(enum) > 0 {
			return wordSchema(enum, true)
		}
		return typeSchema(typ, true)
	}
	switch t {
	case reflect.TypeFor[ota.Kind]():
		return typeSchema(KindType, false)
	case reflect.TypeFor[Bytes]():
		return typeSchema(SizeType, false)
	case reflect.TypeFor[Percent]():
		return typeSchema(PercentType, false)
	}
	for _, x := range []Type{BoolType, IntType, NumberType, DurationType, RateType, TimeType} {
		if x.goType() == t {
			return typeSchema(x, false)
		}
	}
	switch t.Kind() {
	case reflect.String:
		if len(enum) > 0 {
			return wordSchema(enum, false)
		}
		return refTo("fixed_text")
	case reflect.Pointer:
		return goSchema(t.Elem(), enum)
	case reflect.Slice:
		return js{"type": "array", "items": goSchema(t.Elem(), enum)}
	case reflect.Map:
		return js{"type": "object", "additionalProperties": goSchema(t.Elem(), enum)}
	case reflect.Struct:
		of := js{}
		for i := range t.NumField() {
			if k := tagOf(t.Field(i)); k != "" {
				of[k] = goSchema(t.Field(i).Type, nil)
			}
		}
		return js{"type": "object", "properties": of, "additionalProperties": false}
	}
	return js{}
}

// retry is the schema of a step's retry.
func (s schemaMaker) retry() js {
	of := goSchema(reflect.TypeFor[retryConfig](), nil)
	for k, p := range of["properties"].(js) { //nolint:forcetypeassert // made by goSchema of a struct
		help(p.(js), retryDocs[k]) //nolint:forcetypeassert // as above
	}
	of["type"] = []string{"object", "null"}
	return of
}
