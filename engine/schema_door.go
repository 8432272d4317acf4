package engine

import (
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// doors is the schema of a trigger with a transport node.
func (s schemaMaker) doors() js {
	var nodes []string
	docs := map[string]string{}
	var by []js
	for _, name := range s.reg.Names() {
		spec := s.reg.byName[name].Spec
		if !spec.Source {
			continue
		}
		nodes, docs[name] = append(nodes, name), spec.Summary
		by = append(by, js{
			"if":   js{"properties": js{"node": js{"const": name}}, "required": []string{"node"}},
			"then": refTo("door." + name),
		})
	}
	out := js{
		"type":     "object",
		"required": []string{"node"},
		"properties": js{
			"node":    help(oneOfWords(nodes, docs, "there is no such transport node; want one of "+list(nodes)), "By which wire."),
			"with":    help(js{"type": []string{"object", "null"}}, "The node's settings."),
			"device":  help(refTo("text"), "The name of the device that it is about, from `capture` or `msg`."),
			"unknown": js{"enum": []string{unknownRefuse, unknownRun}, "default": unknownRefuse, "description": "What becomes of a device that is not known: `run` runs the chain without one."},
			"fields":  help(s.bodyFields(), "Types of the body's members. A body that does not fit is refused, and `msg.json` has these alone."),
			"if":      help(refTo("condition"), "Judged before a run is made: a message that fails it costs no run."),
			"to":      help(refTo("target"), "The step or branch to start at; left out, the first step."),
		},
		"dependentRequired":    js{"unknown": []string{"device"}},
		"additionalProperties": false,
	}
	if len(by) > 0 {
		out["allOf"] = by
	}
	return out
}

func (s schemaMaker) bodyFields() js {
	each := strings.Join(words(paramTypes), "|")
	return js{"type": "object", "additionalProperties": hint(js{"type": "string", "pattern": "^(optional +)?(" + each + ")$"}, "a type, or optional and a type: "+list(words(paramTypes)))}
}

// door is what a trigger with one transport node must be.
func (s schemaMaker) door(f Factory) js {
	with := js{"type": []string{"object", "null"}, "description": f.Spec.Summary + "\n\n" + f.Spec.Doc, "properties": s.settings(f), "additionalProperties": false}
	out := js{"properties": js{"with": with}}
	if must := requiredOf(f.Spec.Fields); len(must) > 0 {
		with["required"], with["type"] = must, "object"
		out["required"] = []string{"with"}
	}
	if f.Spec.Name == ota.ScheduleIn {
		out["properties"].(js)["fields"], out["properties"].(js)["device"] = false, false
	}
	return out
}
