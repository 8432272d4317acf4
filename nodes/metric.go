package nodes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// MetricConfig is the "with" of a metric step.
type MetricConfig struct {
	Name   string                 `yaml:"name"`
	Kind   engine.Text            `yaml:"kind"`
	Value  engine.Value           `yaml:"value"`
	Labels map[string]engine.Text `yaml:"labels"`
}

const (
	kindCounter = "counter"
	kindGauge   = "gauge"
	labelChain  = "chain"
)

// metricName is what Prometheus takes as a name, in lower case.
var metricName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Validate refuses names that Prometheus would not take, or that would say two
// things.
func (c MetricConfig) Validate() error {
	switch {
	case !metricName.MatchString(c.Name):
		return &engine.FieldError{Key: "name", Err: fmt.Errorf("is %q, want small letters, digits and _", c.Name)}
	case strings.HasSuffix(c.Name, "_total"):
		return &engine.FieldError{Key: "name", Err: errors.New("ends in _total, which is put behind counters anyway")}
	}
	for _, l := range slices.Sorted(maps.Keys(c.Labels)) {
		if !metricName.MatchString(l) || strings.HasPrefix(l, "__") || l == labelChain {
			return &engine.FieldError{Key: "labels", Err: fmt.Errorf("holds %q, want small letters, digits and _, and not %s, which is there by itself", l, labelChain)}
		}
	}
	return nil
}

// Metric defines metric, which counts for Prometheus.
func Metric(m engine.Metrics) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "metric",
		Summary: "Adds to a counter, or sets a gauge, that Prometheus reads.",
		Doc: "A counter is called `windlass_chain_metric_NAME_total`, a gauge `windlass_chain_metric_NAME`; both have the label `chain`. " +
			"They are kept by each process and begin anew with it. A chain has 1,000 series at most; what would be one more is dropped and counted.",
		Outlets: []engine.Outlet{{Name: "done"}},
		Fields: []engine.Field{
			{Key: "name", Doc: "What is counted: small letters, digits and _.", Required: true},
			{Key: "kind", Doc: "A counter only rises.", Enum: []string{kindCounter, kindGauge}},
			{Key: "value", Doc: "An expression: by how much a counter rises, or what a gauge is; a duration counts in seconds. Left out, 1."},
			{Key: "labels", Doc: "Texts by name. Each text that differs makes a series of its own."},
		},
		Example: `chain: example
summary: Counts failed updates by version.
trigger: update_finished
steps:
  - {node: filter, with: {if: msg.state == "FAILED"}}
  - {node: metric, with: {name: failed_updates, labels: {version: "${update.target.version}"}}}
`,
	}, MetricConfig{Kind: engine.Lit(kindCounter)}, func(c MetricConfig) (engine.Node, error) { return &metric{c, m}, nil })
}

type metric struct {
	MetricConfig
	metrics engine.Metrics
}

func (n *metric) Process(_ context.Context, r *engine.Run) (string, error) {
	kind, err := word(r, "kind", n.Kind, kindCounter, kindGauge)
	if err != nil {
		return "", err
	}
	value, err := n.value(r, kind)
	if err != nil {
		return "", err
	}
	labels := make(map[string]string, len(n.Labels))
	for name, s := range n.Labels {
		text, err := s.Get(r)
		if err != nil {
			return "", err
		}
		labels[name] = clip(text)
	}
	if n.metrics != nil {
		chain := r.Chain().Name
		r.After(func() { n.metrics.Add(chain, n.Name, kind, labels, value) })
	}
	return "done", nil
}

func (n *metric) value(r *engine.Run, kind string) (float64, error) {
	if !n.Value.Given() {
		return 1, nil
	}
	v, err := n.Value.Eval(r)
	if err != nil {
		return 0, err
	}
	x, ok := quantity(v)
	switch {
	case !ok || math.IsNaN(x) || math.IsInf(x, 0):
		return 0, ota.Errorf(ota.Invalid, "metric "+n.Name, "the value of %s is no number", n.Value.String())
	case kind == kindCounter && x < 0:
		return 0, ota.Errorf(ota.Invalid, "metric "+n.Name, "%v would make a counter fall", x)
	}
	return x, nil
}

func quantity(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int:
		return float64(x), true
	case int64:
		return float64(x), true
	case time.Duration:
		return x.Seconds(), true
	}
	return 0, false
}
