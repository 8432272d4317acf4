package api

import "github.com/windlass-ota/windlass/engine"

// Catalogue describes node types, in their order.
func Catalogue(all []engine.Factory) []Node {
	out := make([]Node, 0, len(all))
	for _, f := range all {
		s := f.Spec
		n := Node{
			Name: s.Name, Summary: s.Summary, Doc: s.Doc, About: subjects[s.Subject], Needs: texts(s.Needs), Sets: texts(s.Sets),
			Writes: s.Writes, Waits: s.Waits, Source: s.Source, Example: s.Example,
		}
		for _, d := range f.Describe() {
			n.Settings = append(n.Settings, NodeField{d.Key, d.Type, d.Required, d.Default, d.Enum, d.Doc, d.Secret})
		}
		for i, o := range s.Outlets {
			n.Outlets = append(n.Outlets, NodeOutlet{o.Name, i == 0 && !s.NoMain, o.MayEnd, texts(o.Sets), o.Doc})
		}
		for _, o := range s.Outputs {
			n.Outputs = append(n.Outputs, NodeOutput{o.Name, string(o.Type), o.Doc})
		}
		out = append(out, n)
	}
	return out
}

var subjects = map[engine.Subject]string{
	engine.Device: "device", engine.UpdateSubject: "update", engine.RolloutSubject: "rollout", engine.PackageSubject: "package",
}

func texts[T ~string](all []T) []string {
	var out []string
	for _, t := range all {
		out = append(out, string(t))
	}
	return out
}
