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
	Where       engine.Cond     `yaml:"where"`
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

// Validate holds the settings in their bounds.
func (c RunStageConfig) Validate() error {
	return errors.Join(
		engine.Within("share", c.Share, 0, 1), engine.Within("at_least", c.AtLeast, 0, maxDevices), engine.Within("decided", c.Decided, 0, 1),
		engine.Within("max_failed", c.MaxFailed, 0, 1), engine.Within("min_decided", c.MinDecided, 0, maxDevices),
		engine.Within("max_failures", c.MaxFailures, 0, maxDevices), engine.Within("max_in_flight", c.MaxInFlight, 0, maxDevices),
		engine.Within("soak", c.Soak, 0, 365*24*time.Hour), engine.Within("timeout", c.Timeout, time.Second, 10*365*24*time.Hour),
	)
}

// maxDevices bounds numbers of devices.
const maxDevices = 1_000_000_000

// RunStage defines run_stage, which opens a rollout's door.
func RunStage() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "run_stage",
		Summary: "Opens the rollout to a share of its devices, and judges by what they come to.",
		Doc: "The settings are worked out once, when the assignment is made: they are the rollout's plan. At every verdict of a device the stage is judged, on those that have decided since it opened: " +
			"it has *failed* when more than `max_failed` of at least `min_decided` (or of all that it lets in, where those are fewer) or `max_failures` in number have failed; it has *passed* when `decided` of those let in, earlier stages included, have decided and `soak` has gone by. " +
			"At the limit the door closes at once; at worst the devices that are under way are hurt, `max_in_flight` of them.\n\n" +
			"Where `failed` or `timed_out` is not wired, the rollout pauses here with the reason, until an operator resumes (the stage judges from then on) or promotes it (it passes). " +
			"Devices for which `where` holds stand in the line before all others, in the order of the stages that have one; such stages come first in the chain. Such a stage lets in nobody else as long as the members are still being told of the assignment, or any of those devices stands in line. " +
			"Its quota is its share of *all* members, `at_least` at least: where fewer devices match, others follow in line. " +
			"`where` is judged once for each device, when it is queued; what changes while it waits does not move it, unless it is queued anew.\n\n" +
			"A stage that adds nobody passes at once; a rollout without any member waits. A stage of 100 % without limits takes no permits and costs nothing beside a plain assignment.",
		Subject: engine.RolloutSubject,
		Outlets: []engine.Outlet{
			{Name: "passed", Doc: "enough devices have decided"},
			{Name: "failed", MayEnd: true, Doc: "too many devices failed"},
			{Name: "timed_out", MayEnd: true, Doc: "not passed in time"},
		},
		Fields: []engine.Field{
			{Key: "share", Doc: "Of the members, counting those of earlier stages.", Required: true},
			{Key: "at_least", Doc: "So many devices, where the share would be fewer."},
			{Key: "where", Doc: "Devices for which this holds come first. May name `device`, `package`, `params`, `now` and `env`.", Each: true},
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
	}, runStageDefaults(), func(c RunStageConfig) (engine.Node, error) { return &runStage{c}, nil })
}

type runStage struct{ RunStageConfig }

// Share is what the loader holds stages against each other by.
func (n *runStage) Share() (float64, bool) {
	v, ok := n.RunStageConfig.Share.Literal()
	return float64(v), ok
}

// First says which devices come first.
func (n *runStage) First() *engine.Cond { return &n.Where }

// Stage works the settings out, for the plan.
func (n *runStage) Stage(r *engine.Run) (s ota.Stage, err error) {
	share := func(x engine.Share, key string) float64 {
		v, gerr := x.Get(r)
		if gerr == nil {
			gerr = engine.Between(key, float64(v), 0, 1)
		}
		err = errors.Join(err, gerr)
		return float64(v)
	}
	number := func(x engine.Int, key string) int {
		v, gerr := x.Get(r)
		if gerr == nil {
			gerr = engine.Between(key, v, 0, maxDevices)
		}
		err = errors.Join(err, gerr)
		return v
	}
	length := func(x engine.Duration, key string, least time.Duration) time.Duration {
		v, gerr := x.Get(r)
		if gerr == nil {
			gerr = engine.Between(key, v, least, 10*365*24*time.Hour)
		}
		err = errors.Join(err, gerr)
		return v
	}
	s = ota.Stage{
		Share: share(n.RunStageConfig.Share, "share"), AtLeast: number(n.AtLeast, "at_least"), Decided: share(n.Decided, "decided"),
		MaxFailed: share(n.MaxFailed, "max_failed"), MinDecided: number(n.MinDecided, "min_decided"),
		MaxFailures: number(n.MaxFailures, "max_failures"), MaxInFlight: number(n.MaxInFlight, "max_in_flight"),
		Soak: length(n.Soak, "soak", 0), Timeout: length(n.Timeout, "timeout", time.Second),
		Where: n.Where.String(),
	}
	return s, err
}

func (n *runStage) Process(ctx context.Context, r *engine.Run) (string, error) {
	ro, err := conducted(r, "run stage")
	if err != nil {
		return "", err
	}
	name := r.Step()
	if ro.At(name) == nil { // a rollout that was made without its plan
		if ro.Plan, err = n.plan(r, ro, name); err != nil {
			return "", err
		}
		ro.SetPlan(ro.Plan)
	}
	tally, err := r.Tally(ctx, ro)
	if err != nil {
		return "", err
	}
	counts, err := r.Members(ctx, ro)
	if err != nil {
		return "", err
	}
	if err := ro.OpenStage(name, tally, r.Now); err != nil {
		return "", err
	}
	stage := ro.At(name)
	if w := ro.Wish; w != nil && w.What == ota.OperatePromote {
		ro.Promote(tally, r.Now)
		return "passed", nil
	}
	if ro.State == ota.RolloutPaused {
		return r.Park(engine.Wait{Again: true})
	}
	ends := ro.Opened.Add(stage.Timeout)
	if why := failure(ro, tally); why != "" {
		return n.stop(r, ro, ota.StoppedFailed, why)
	}
	gathered, err := gathered(ctx, r, ro)
	if err != nil {
		return "", err
	}
	passes := ro.Look(counts, tally, gathered, r.Now)
	switch {
	case !passes.IsZero() && !passes.After(r.Now):
		ro.Note(r.Now, "stage "+name+" passed", "")
		return "passed", nil
	case !ends.After(r.Now):
		return n.stop(r, ro, ota.StoppedTimedOut, "stage "+name+" has not passed within "+engine.PrintDuration(stage.Timeout))
	case !passes.IsZero() && passes.Before(ends):
		return r.Park(engine.Wait{At: passes, Again: true})
	}
	return r.Park(engine.Wait{At: ends, Again: true})
}

// plan is the plan so far, with this stage at its end.
func (n *runStage) plan(r *engine.Run, ro *ota.Rollout, name string) ([]ota.Stage, error) {
	s, err := n.Stage(r)
	s.Name = name
	return append(ro.Plan, s), err
}

// failure says why the open stage has failed, or "".
func failure(ro *ota.Rollout, t ota.Tally) string {
	d, ok := ro.Door()
	if !ok || ro.Stopped != "" {
		return ""
	}
	if t.Shut == d.Epoch && t.Why != "" {
		return t.Why
	}
	return d.Crossed(t)
}

// stop shuts the door and leaves by an outlet, or pauses where nobody wired it.
func (n *runStage) stop(r *engine.Run, ro *ota.Rollout, outlet, why string) (string, error) {
	if !r.Loose(outlet) {
		ro.Stop(outlet, why, r.Now)
		return outlet, nil
	}
	ro.Pause(why, "", r.Now)
	return r.Park(engine.Wait{Again: true})
}

// gathered says whether the job that tells the members has ended, so that no
// more of them are on their way.
func gathered(ctx context.Context, r *engine.Run, ro *ota.Rollout) (bool, error) {
	if ro.Job == "" {
		return true, nil
	}
	h, err := r.Facts.Get(ctx, ota.Ref{Tenant: ro.Tenant, Type: ota.JobRef, ID: ro.Job})
	if ota.CodeOf(err) == ota.NotFound {
		return true, nil
	}
	return err == nil && h.Job.State != ota.JobRunning, err
}

// conducted is the rollout that the run conducts, where that goes on.
func conducted(r *engine.Run, op string) (*ota.Rollout, error) {
	if r.Home == nil || r.Home.Rollout == nil {
		return nil, ota.Errorf(ota.Internal, op, "the run is not about a rollout")
	}
	if ro := r.Home.Rollout; !ro.State.Ended() {
		return ro, nil
	}
	return nil, ota.Errorf(ota.Conflict, op, "the rollout is %s", r.Home.Rollout.State)
}
