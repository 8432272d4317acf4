package nodes

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// DedupeConfig is the "with" of a dedupe step.
type DedupeConfig struct {
	Key engine.Text     `yaml:"key"`
	For engine.Duration `yaml:"for"`
}

// Dedupe defines dedupe, which lets pass the first of those that are alike.
func Dedupe() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "dedupe",
		Summary: "Lets the first of those that are alike pass, and the others go another way for some time.",
		Doc: "What was seen is marked at what the run is about, a device, a package or a rollout, and holds for all processes: the same key of another device, or of another chain, is another one. " +
			"One thing keeps 64 marks; more than that at a time, and the one that would end first goes.",
		Outlets: []engine.Outlet{
			{Name: "first", Doc: "the key was not seen within its time"},
			{Name: "repeated", MayEnd: true, Doc: "it was"},
		},
		Fields: []engine.Field{
			{Key: "key", Doc: "What makes runs alike.", Required: true},
			{Key: "for", Doc: "How long the key counts as seen, from the first time on.", Required: true},
		},
		Outputs: []engine.Output{{Name: "count", Type: engine.IntType, Doc: "how often the key was seen within its time, this time included"}},
		Writes:  true,
		Example: `chain: example
summary: Raises an alarm for a failure, once an hour for the same reason.
trigger: {event: update_finished, if: msg.state == "FAILED"}
steps:
  - {node: dedupe, with: {key: "${update.target.version} ${update.error}", for: 1h}}
  - {node: raise_alarm, with: {key: "update of ${msg.kind}", message: "${update.error}"}}
`,
	}, DedupeConfig{}, func(c DedupeConfig) (engine.Node, error) { return &dedupe{c}, nil })
}

type dedupe struct{ DedupeConfig }

func (n *dedupe) Process(_ context.Context, r *engine.Run) (string, error) {
	key, err := n.Key.Get(r)
	if err != nil {
		return "", err
	}
	d, err := n.For.Get(r)
	if err != nil {
		return "", err
	}
	if r.Home == nil {
		return "", ota.Errorf(ota.Internal, "dedupe", "the run has no home")
	}
	m := r.Home.See(markKey(r.Chain().Name, key), d, r.Now)
	r.Set("count", m.Count)
	if m.Count > 1 {
		return "repeated", nil
	}
	return "first", nil
}

// markKey stands for a key of a chain in a few bytes, however long that is.
func markKey(chain, key string) string {
	sum := sha256.Sum256([]byte(chain + "\x00" + key))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}
