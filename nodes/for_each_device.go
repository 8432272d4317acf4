package nodes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ForEachDeviceConfig is the "with" of a for_each_device step.
type ForEachDeviceConfig struct {
	Target engine.Text `yaml:"target"`
	Branch string      `yaml:"branch"`
	Rate   engine.Rate `yaml:"rate"`
}

// Validate refuses a target that can name nothing, and a rate that would take
// years.
func (c ForEachDeviceConfig) Validate() error {
	var errs []error
	if v, ok := c.Target.Literal(); ok {
		if _, _, err := targetName("for each device", v); err != nil {
			errs = append(errs, err)
		}
	}
	if v, ok := c.Rate.Literal(); ok {
		if err := checkJobRate(v); err != nil {
			errs = append(errs, &engine.FieldError{Key: "rate", Err: err})
		}
	}
	return errors.Join(errs...)
}

// slowestJob is how far apart the devices of a job may come at most.
const slowestJob = 24 * time.Hour

func checkJobRate(p ota.Pace) error {
	if p.Count > 0 && p.Every/time.Duration(p.Count) > slowestJob {
		return fmt.Errorf("is slower than one device in %v", slowestJob)
	}
	return nil
}

// ForEachDevice defines for_each_device, which runs a branch for every device of
// a target.
func ForEachDevice() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "for_each_device",
		Summary: "Runs a branch for every device of a target, as a durable job.",
		Doc: "The run waits until the job is over, which may take as long as it takes; what it does not wait for is one device whose branch takes long. " +
			"The branch is run in a turn of its own for each device: `device` is that one, what its steps write goes to it, and it begins with the message and the vars as they are here. Nothing comes back but the counts. " +
			"A branch that waits (`send_rpc`, `delay`) counts as done when it begins to wait, and goes on by itself; what fails in it after that is not counted. " +
			"One that fails is counted, kept where the fault is ours, and stops no other. Each device has its branch once, whatever dies meanwhile; who comes to the target while the job goes on may be reached or not. " +
			"The branch begins another `for_each_device` never.",
		Outlets: []engine.Outlet{{Name: "finished", Doc: "every device has had its branch, or the job was cancelled"}},
		Fields: []engine.Field{
			{Key: "target", Doc: "The devices: `device:NAME` or `profile:NAME`.", Required: true},
			{Key: "branch", Doc: "Name of the branch.", Required: true, Runs: true},
			{Key: "rate", Doc: "How many devices may begin in a time, such as `100/1m`, counted over all processes."},
		},
		Outputs: []engine.Output{
			{Name: "done", Type: engine.IntType, Doc: "devices whose branch went well, or waits"},
			{Name: "failed", Type: engine.IntType, Doc: "devices whose branch failed"},
		},
		Writes:  true,
		Waits:   true,
		Members: true,
		Example: `chain: example
summary: Sets the log level of all pumps, a hundred a minute, and says how many there were.
trigger: {node: schedule_in, with: {cron: "0 2 * * *"}}
steps:
  - {node: for_each_device, name: pumps, with: {target: profile:pump, branch: quiet, rate: 100/1m}}
  - {node: log, with: {message: "${steps.pumps.done} pumps are quiet, ${steps.pumps.failed} are not"}}
branches:
  quiet: [{node: set_attributes, with: {scope: shared, values: {log_level: warn}}}]
`,
	}, ForEachDeviceConfig{Rate: engine.Lit(ota.Pace{})}, func(c ForEachDeviceConfig) (engine.Node, error) { return &forEachDevice{c}, nil })
}

type forEachDevice struct{ ForEachDeviceConfig }

var _ engine.Waker = (*forEachDevice)(nil)

func (n *forEachDevice) Process(ctx context.Context, r *engine.Run) (string, error) {
	const op = "for each device"
	target, err := n.Target.Get(r)
	if err != nil {
		return "", err
	}
	rate, err := n.Rate.Get(r)
	if err == nil {
		err = checkJobRate(rate)
	}
	if err != nil {
		return "", &ota.Error{Code: ota.Invalid, Op: op, Err: err}
	}
	typ, name, err := targetName(op, target)
	if err != nil {
		return "", err
	}
	ref, err := r.Facts.Find(ctx, r.Msg.Tenant, typ, name)
	if err != nil {
		return "", err
	}
	return r.ForEachDevice(ref, rate)
}

// Wake implements [engine.Waker].
func (n *forEachDevice) Wake(_ context.Context, r *engine.Run) (string, error) {
	j := r.Came().Job
	if j == nil {
		return "", ota.Errorf(ota.Internal, "for each device", "nothing was said of the job")
	}
	r.Set("done", int(j.Done))
	r.Set("failed", int(j.Failed))
	return "finished", nil
}
