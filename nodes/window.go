package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// WindowConfig is the "with" of a window step.
type WindowConfig struct {
	Opens  engine.Text  `yaml:"opens"`
	Closes engine.Text  `yaml:"closes"`
	Days   []string     `yaml:"days"`
	Except engine.Texts `yaml:"except"`
	Zone   engine.Text  `yaml:"zone"`
}

// Validate checks what is known at load.
func (c WindowConfig) Validate() error {
	var errs []error
	literal := map[string]string{}
	for _, f := range [...]struct {
		key string
		s   engine.Text
	}{{"opens", c.Opens}, {"closes", c.Closes}} {
		if v, ok := f.s.Literal(); ok && f.s.Given() {
			literal[f.key] = v
			if _, err := engine.ParseClock(v); err != nil {
				errs = append(errs, &engine.FieldError{Key: f.key, Err: err})
			}
		}
	}
	if v, ok := literal["opens"]; ok && v == literal["closes"] {
		errs = append(errs, &engine.FieldError{Key: "closes", Err: errors.New("is when the window opens")})
	}
	if v, ok := c.Zone.Literal(); ok && c.Zone.Given() {
		if _, err := engine.LoadZone(v); err != nil {
			errs = append(errs, &engine.FieldError{Key: "zone", Err: err})
		}
	}
	if c.Days != nil && len(c.Days) == 0 {
		errs = append(errs, &engine.FieldError{Key: "days", Err: errors.New("names no day")})
	}
	if days, ok := c.Except.Literal(); ok {
		for _, d := range days {
			if !isDay(d) {
				errs = append(errs, &engine.FieldError{Key: "except", Err: fmt.Errorf("has %q, want a day such as 2026-12-24, or 12-24 for each year", d)})
			}
		}
	}
	return errors.Join(errs...)
}

func isDay(s string) bool {
	_, long := time.Parse("2006-01-02", s)
	_, short := time.Parse("2006-01-02", "2004-"+s) // a leap year, so that 02-29 is a day
	return long == nil || short == nil
}

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// Window defines window, which asks whether it is the time for something.
func Window() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "window",
		Summary: "Asks whether it is between two clock times, on certain days, in a time zone.",
		Doc: "It does not wait: combine it with `hold_update` or `delay` and the time at which it opens. The window belongs to the day on which it opens, so a window from 22:00 to 05:00 with `days: [fri]` ends on Saturday morning.\n\n" +
			"Where clocks are changed, it opens at the first moment at which the clock there has come to `opens`, and closes at the first at which it has come to `closes`. A day on which the clocks leave all of it out has no window.",
		NoMain: false,
		Outlets: []engine.Outlet{
			{Name: "inside", Doc: "it is open"},
			{Name: "outside", Doc: "it is closed"},
		},
		Fields: []engine.Field{
			{Key: "opens", Doc: "Clock time at which it opens, such as `\"22:00\"`.", Required: true},
			{Key: "closes", Doc: "Clock time at which it closes; before `opens`, it is that of the next day.", Required: true},
			{Key: "days", Doc: "Days on which it opens; left out, every day.", Enum: weekdays},
			{Key: "except", Doc: "Days on which it does not open, such as `2026-12-24`, or `12-24` for each year."},
			{Key: "zone", Doc: "Time zone of the clock, such as `Europe/Kyiv`; `${device.zone ?? 'UTC'}` for that of the device."},
		},
		Outputs: []engine.Output{
			{Name: "opens_at", Type: engine.TimeType, Doc: "when it opens next; inside, when it opened"},
			{Name: "closes_at", Type: engine.TimeType, Doc: "when it closes after that"},
		},
		Example: `chain: example
summary: Offers updates in the night of the place where the device stands.
trigger: offer_due
steps:
  - node: check_offer
  - {node: window, name: night, with: {opens: "22:00", closes: "05:00", zone: "${device.zone ?? 'UTC'}"}, to: {outside: wait}}
  - node: admit_update
  - node: offer_update
branches:
  wait: [{node: hold_update, with: {until: "${steps.night.opens_at}", reason: it is day}, to: {overdue: late}}]
  late: [{node: fail_update, with: {reason: could never be offered}}]
`,
	}, WindowConfig{Zone: engine.Lit("UTC")}, func(c WindowConfig) (engine.Node, error) { return &window{c}, nil })
}

type window struct{ WindowConfig }

// windowDays is how far ahead an opening is looked for.
const windowDays = 3 * 366

func (n *window) Process(_ context.Context, r *engine.Run) (string, error) {
	opens, err := n.Opens.Get(r)
	if err != nil {
		return "", err
	}
	closes, err := n.Closes.Get(r)
	if err != nil {
		return "", err
	}
	zone, err := n.Zone.Get(r)
	if err != nil {
		return "", err
	}
	except, err := n.Except.Get(r)
	if err != nil {
		return "", err
	}
	h, err := engine.NewHours(opens, closes, zone)
	if err != nil {
		return "", &ota.Error{Code: ota.Invalid, Op: "window", Err: err}
	}
	for days := -1; days < windowDays; days++ {
		from, to := h.On(r.Now, days)
		if !to.After(r.Now) || !to.After(from) || !n.opensOn(h.Day(r.Now).AddDate(0, 0, days), except) {
			continue
		}
		r.Set("opens_at", from)
		r.Set("closes_at", to)
		if from.After(r.Now) {
			return "outside", nil
		}
		return "inside", nil
	}
	return "", ota.Errorf(ota.Invalid, "window", "it never opens: every day is left out")
}

// opensOn says whether the window opens on a day.
func (n *window) opensOn(day time.Time, except []string) bool {
	if n.Days != nil && !slices.Contains(n.Days, strings.ToLower(day.Format("Mon"))) {
		return false
	}
	return !slices.Contains(except, day.Format("2006-01-02")) && !slices.Contains(except, day.Format("01-02"))
}
