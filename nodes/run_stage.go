package nodes

import (
	"context"
	"errors"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// RunStageConfig is the "with" of a run_stage step.
type RunStageConfig struct {
	Share       engine.Share    `yaml:"share"`
	AtLeast     engine.Int      `yaml:"at_least"`
	Where       any             `yaml:"where"`
	Decided     engine.Share    `yaml:"decided"`
	MaxFailed   engine.Share    `yaml:"max_failed"`
	MinDecided  engine.Int      `yaml:"min_decided"`
	MaxFailures engine.Int      `yaml:"max_failures"`
	MaxInFlight engine.Int      `yaml:"max_in_flight"`
	Soak        engine.Duration `yaml:"soak"`
	Timeout     engine.Duration `yaml:"timeout"`
}

func runStageDefaults() RunStageConfig {
	return RunStageConfig{
		AtLeast: engine.Lit(1), Decided: engine.Lit(engine.Percent(0.95)), MaxFailed: engine.Lit(engine.Percent(1)),
		MinDecided: engine.Lit(20), MaxFailures: engine.Lit(0), MaxInFlight: engine.Lit(0),
		Soak: engine.Lit(time.Duration(0)), Timeout: engine.Lit(30 * 24 * time.Hour),
	}
}

// Validate refuses what a stage cannot do: it opens to everybody and judges
// nothing. A setting that would be ignored must not look as if it held.
func (c RunStageConfig) Validate() error {
	if v, ok := c.Share.Literal(); !ok || v != 1 {
		return &engine.FieldError{Key: "share", Err: errors.New("must be 100%: this release opens a stage to all devices at once")}
	}
	if c.Where != nil {
		return notYet("where")
	}
	d := runStageDefaults()
	for _, f := range [...]struct {
		key  string
		same bool
	}{
		{"decided", same(c.Decided, d.Decided)}, {"max_failed", same(c.MaxFailed, d.MaxFailed)},
		{"min_decided", same(c.MinDecided, d.MinDecided)}, {"max_failures", same(c.MaxFailures, d.MaxFailures)},
		{"max_in_flight", same(c.MaxInFlight, d.MaxInFlight)}, {"soak", same(c.Soak, d.Soak)},
	} {
		if !f.same {
			return notYet(f.key)
		}
	}
	return nil
}

func notYet(key string) error {
	return &engine.FieldError{Key: key, Err: errors.New("is not in this release: a stage does not judge or limit yet; leave it out")}
}

func same[T comparable](a, b engine.Setting[T]) bool {
	x, known := a.Literal()
	y, _ := b.Literal()
	return known && x == y
}

// RunStage defines run_stage, which opens a rollout's door.
func RunStage() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "run_stage",
		Summary: "Opens the rollout to a share of its devices.",
		Doc: "In this release the share is 100 %: every device may be offered the package when its turn in the queue comes, and late ones are served too. " +
			"Judging, limits and smaller shares are refused at load; so the stage neither passes nor fails, and waits until another assignment takes the rollout's place, or its time is over. The door stays open then.",
		Subject: engine.RolloutSubject,
		Outlets: []engine.Outlet{
			{Name: "passed", Doc: "enough devices have decided"},
			{Name: "failed", MayEnd: true, Doc: "too many devices failed"},
			{Name: "timed_out", MayEnd: true, Doc: "not passed in time"},
		},
		Fields: []engine.Field{
			{Key: "share", Doc: "Of the members, counting those of earlier stages.", Required: true},
			{Key: "at_least", Doc: "So many devices, where the share would be fewer."},
			{Key: "where", Doc: "Devices for which this holds come first."},
			{Key: "decided", Doc: "The stage has passed when so many of its devices have decided."},
			{Key: "max_failed", Doc: "Of the devices that have decided; more, and the stage has failed."},
			{Key: "min_decided", Doc: "Nothing is judged by max_failed before so many have decided."},
			{Key: "max_failures", Doc: "So many failures, and the stage has failed; 0: no limit."},
			{Key: "max_in_flight", Doc: "So many devices may be under way at a time; 0: no limit."},
			{Key: "soak", Doc: "How long to watch after enough have decided."},
			{Key: "timeout", Doc: "How long the stage may take."},
		},
		Writes: true,
		Waits:  true,
		Example: `chain: example
summary: Opens an assignment to all its devices at once.
trigger: rollout
steps: [{node: run_stage, name: everyone, with: {share: 100%}, to: {timed_out: end}}]
`,
	}, runStageDefaults(), func(c RunStageConfig) (engine.Node, error) {
		return &runStage{c.Timeout}, nil
	})
}

type runStage struct{ timeout engine.Duration }

func (n *runStage) Process(_ context.Context, r *engine.Run) (string, error) {
	ro := r.Home.Rollout
	if ro == nil {
		return "", ota.Errorf(ota.Internal, "run stage", "the run is not about a rollout")
	}
	if ro.State != ota.RolloutRunning {
		return "", ota.Errorf(ota.Conflict, "run stage", "the rollout is %s", ro.State)
	}
	timeout, err := n.timeout.Get(r)
	if err != nil {
		return "", err
	}
	name := r.Step()
	ro.Plan = []ota.Stage{{Name: name, Share: 1}}
	ro.Stage, ro.Quota, ro.Mark, ro.Permits = name, 1, 1, false
	return r.Park(engine.Wait{At: r.Now.Add(timeout), Outlet: "timed_out"})
}
