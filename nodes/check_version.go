package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CheckVersionConfig is the "with" of a check_version step.
type CheckVersionConfig struct {
	Kind  engine.Kind `yaml:"kind"`
	Range engine.Text `yaml:"range"`
}

// Validate refuses what is no range.
func (c CheckVersionConfig) Validate() error { return validRange(c.Range) }

func validRange(s engine.Text) error {
	if v, ok := s.Literal(); ok {
		if err := engine.CheckVersions(v); err != nil {
			return &engine.FieldError{Key: "range", Err: err}
		}
	}
	return nil
}

// docRange says what a setting that is a range may hold.
const docRange = "`1.2`, `>=1.4 <2`, `^1.2`, `~1.2`, `1.x`, `*`, or several of them with `||` between. Versions are compared as Semantic Versioning says, and others by their dotted parts."

// CheckVersion defines check_version, which holds what a device runs against a
// range.
func CheckVersion() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "check_version",
		Summary: "Says whether the version that the device runs lies within a range.",
		Doc:     "It is the version that the device last reported; a device that has reported none does not meet any range.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{
			{Name: "met"},
			{Name: "unmet", Doc: "its version lies outside, or is not known"},
		},
		Fields: []engine.Field{
			{Key: "kind", Doc: docKind},
			{Key: "range", Doc: docRange, Required: true},
		},
		Outputs: []engine.Output{{Name: "version", Type: engine.TextType, Doc: "what the device runs; empty where that is not known"}},
		Example: `chain: example
summary: Leaves out devices whose bootloader is too old for the package.
trigger: {event: assigned, kind: firmware}
steps:
  - {node: resolve_package, to: {absent: end}}
  - {node: check_version, with: {range: ">=1.4"}, to: {unmet: old}}
  - {node: check_compatibility, to: {incompatible: end}}
  - node: enqueue_update
branches:
  old: [{node: skip_update, with: {reason: "runs ${steps.check_version.version}; bring it to 1.4 first"}}]
`,
	}, CheckVersionConfig{}, func(c CheckVersionConfig) (engine.Node, error) { return &checkVersion{c.Kind, c.Range}, nil })
}

type checkVersion struct {
	kind   engine.Kind
	ranges engine.Text
}

func (n *checkVersion) Process(_ context.Context, r *engine.Run) (string, error) {
	k, err := kindOf(r, n.kind)
	if err != nil {
		return "", err
	}
	ranges, err := n.ranges.Get(r)
	if err != nil {
		return "", err
	}
	version := r.Track(k).Reported.Version
	r.Set("version", version)
	in, err := engine.VersionIn(version, ranges)
	switch {
	case err != nil:
		return "", ota.Errorf(ota.Invalid, "check version", "%w", err)
	case in && version != "":
		return "met", nil
	}
	return "unmet", nil
}
