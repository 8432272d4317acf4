package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// RaiseAlarmConfig is the "with" of a raise_alarm step.
type RaiseAlarmConfig struct {
	Key      engine.Text `yaml:"key"`
	Severity engine.Text `yaml:"severity"`
	Message  engine.Text `yaml:"message"`
}

// RaiseAlarm defines raise_alarm, which asks people to look at something.
func RaiseAlarm() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "raise_alarm",
		Summary: "Asks people to look at something, until the alarm is cleared.",
		Doc: "An alarm belongs to what the run is about, a device, a package or a rollout, and is known there by its key: the same key of another device is another alarm. " +
			"Raised again it is counted, and has the severity and the message of the last time. One thing keeps 32 alarms; the oldest go.",
		Outlets: []engine.Outlet{
			{Name: "raised"},
			{Name: "repeated", MayEnd: true, Doc: "its key is raised already; it was counted"},
		},
		Fields: []engine.Field{
			{Key: "key", Doc: "What it is about; not empty.", Required: true},
			{Key: "severity", Doc: "How soon people should look.", Enum: severities()},
			{Key: "message", Doc: "What to look at, for people.", Required: true},
		},
		Outputs: []engine.Output{{Name: "count", Type: engine.IntType, Doc: "how often it was raised since it was last cleared"}},
		Writes:  true,
		Example: `chain: example
summary: Raises an alarm when an update has failed, and clears it when one has not.
trigger: update_finished
steps:
  - {node: filter, with: {if: msg.state == "FAILED"}, to: {rejected: well}}
  - {node: raise_alarm, with: {key: "update of ${msg.kind}", message: "${update.target.version}: ${update.error}"}}
branches:
  well: [{node: clear_alarm, with: {key: "update of ${msg.kind}"}}]
`,
	}, RaiseAlarmConfig{Severity: engine.Lit(string(ota.Warning))}, func(c RaiseAlarmConfig) (engine.Node, error) { return &raiseAlarm{c}, nil })
}

func severities() []string {
	var out []string
	for _, s := range ota.Severities() {
		out = append(out, string(s))
	}
	return out
}

type raiseAlarm struct{ RaiseAlarmConfig }

func (n *raiseAlarm) Process(_ context.Context, r *engine.Run) (string, error) {
	key, err := alarmKey(r, n.Key)
	if err != nil {
		return "", err
	}
	severity, err := word(r, "severity", n.Severity, severities()...)
	if err != nil {
		return "", err
	}
	message, err := n.Message.Get(r)
	if err != nil {
		return "", err
	}
	a, fresh := r.Home.Raise(key, ota.Severity(severity), clip(message), r.Now)
	r.Set("count", a.Count)
	if fresh {
		return "raised", nil
	}
	return "repeated", nil
}

// alarmKey reads the key of an alarm of the run's home.
func alarmKey(r *engine.Run, s engine.Text) (string, error) {
	key, err := s.Get(r)
	switch {
	case err != nil:
		return "", err
	case r.Home == nil:
		return "", ota.Errorf(ota.Internal, "alarm", "the run has no home")
	case key == "":
		return "", ota.Errorf(ota.Invalid, "alarm", "the key is empty")
	}
	return clip(key), nil
}
