package nodes

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/windlass-ota/windlass/engine"
)

// LogConfig is the "with" of a log step.
type LogConfig struct {
	Level   engine.Text `yaml:"level"`
	Message engine.Text `yaml:"message"`
	Fields  engine.Map  `yaml:"fields"`
}

// levels are the levels of a log step.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func levelNames() []string { return []string{"debug", "info", "warn", "error"} }

// Log defines log, which writes a line to the server's log.
func Log(l *slog.Logger) engine.Factory {
	l = orNoLog(l)
	return engine.Define(engine.Spec{
		Name:    "log",
		Summary: "Writes a line to the server's log.",
		Doc:     "The line names device, chain and step by itself. It is written once, after the commit: a run that fails, or is run again because somebody else was faster, writes none.",
		Outlets: []engine.Outlet{{Name: "done"}},
		Fields: []engine.Field{
			{Key: "level", Doc: "How loud.", Enum: levelNames()},
			{Key: "message", Doc: "The line.", Required: true},
			{Key: "fields", Doc: "More to go with it, by name."},
		},
		Example: `chain: example
summary: Says who connects.
trigger: connected
steps:
  - {node: log, with: {message: "${device.name} is here", fields: {transport: "${msg.transport}"}}}
`,
	}, LogConfig{Level: engine.Lit("info")}, func(c LogConfig) (engine.Node, error) { return &logNode{c, l}, nil })
}

type logNode struct {
	LogConfig
	log *slog.Logger
}

func (n *logNode) Process(ctx context.Context, r *engine.Run) (string, error) {
	level, err := word(r, "level", n.Level, levelNames()...)
	if err != nil {
		return "", err
	}
	if !n.log.Enabled(ctx, levels[level]) {
		return "done", nil
	}
	message, err := n.Message.Get(r)
	if err != nil {
		return "", err
	}
	fields, err := n.Fields.Get(r)
	if err != nil {
		return "", err
	}
	attrs := []slog.Attr{slog.String("chain", r.Chain().Name), slog.String("step", r.Step())}
	if d := r.Device(); d != nil {
		attrs = append(attrs, slog.String("device", d.Name))
	}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.String(k, fields[k]))
	}
	r.After(func() { n.log.LogAttrs(context.WithoutCancel(ctx), levels[level], message, attrs...) })
	return "done", nil
}

// orNoLog is l, or one whose lines go nowhere.
func orNoLog(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
