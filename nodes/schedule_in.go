package nodes

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ScheduleInConfig is the "with" of a schedule_in trigger.
type ScheduleInConfig struct {
	Cron   string        `yaml:"cron"`
	Every  time.Duration `yaml:"every"`
	RRule  string        `yaml:"rrule"`
	Zone   string        `yaml:"zone"`
	Missed string        `yaml:"missed"`
}

// Validate refuses a plan that is none.
func (c ScheduleInConfig) Validate() error {
	_, err := c.next()
	return err
}

// next is the plan that is written.
func (c ScheduleInConfig) next() (ota.Recurrence, error) {
	if err := engine.OneOf(map[string]bool{"cron": c.Cron != "", "every": c.Every != 0, "rrule": c.RRule != ""}); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil || c.Zone == "Local" {
		return nil, &engine.FieldError{Key: "zone", Err: fmt.Errorf("is %q, which is no time zone; want a name such as Europe/Kyiv", c.Zone)}
	}
	var next ota.Recurrence
	key := "every"
	switch {
	case c.Cron != "":
		key = "cron"
		next, err = ota.Cron(c.Cron, zone)
	case c.RRule != "":
		key = "rrule"
		next, err = ota.RRule(c.RRule, zone)
	case strings.ToUpper(c.Zone) != "UTC":
		return nil, &engine.FieldError{Key: "zone", Err: errors.New("is given with every, which is the same everywhere")}
	default:
		next, err = ota.Every(c.Every)
	}
	if err != nil {
		return nil, &engine.FieldError{Key: key, Err: err}
	}
	return next, nil
}

// ScheduleIn defines schedule_in, by which a chain runs at times.
func ScheduleIn() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "schedule_in",
		Summary: "Runs the chain at times.",
		Doc: "Each time is run once, whatever the number of processes, and is not lost when one of them dies. A time that comes while nobody is there is run later, `once` however many there were, or is skipped. " +
			"`msg.due_at` is the time, `msg.late` how long ago that was.\n\n" +
			"A time of day that a change to daylight saving time leaves out comes as much later as the clock is put on; one that comes twice counts the first time. The run is about no device: for_each_device goes over many.",
		Fields: []engine.Field{
			{Key: "cron", Doc: "Minute, hour, day of the month, month, day of the week, as in crontab."},
			{Key: "every", Doc: "An interval; times are its multiples."},
			{Key: "rrule", Doc: "A rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=3;BYMINUTE=0. Exactly one of the three is written."},
			{Key: "zone", Doc: "The time zone of cron and rrule."},
			{Key: "missed", Doc: "What becomes of times that nobody was there for.", Enum: []string{"once", "skip"}},
		},
		Source: true,
		Example: `chain: example
summary: Says each Monday that the server is alive.
trigger: {node: schedule_in, with: {cron: "0 8 * * mon", zone: Europe/Kyiv}}
steps:
  - {node: log, with: {message: "it is Monday, ${msg.due_at}"}}
`,
	}, ScheduleInConfig{Zone: "UTC", Missed: "once"}, func(c ScheduleInConfig) (engine.Node, error) {
		next, err := c.next()
		return &scheduleIn{c: c, next: next}, err
	})
}

type scheduleIn struct {
	source
	c    ScheduleInConfig
	next ota.Recurrence
}

func (n *scheduleIn) Door(*engine.Run) (ota.Inlet, error) {
	plan := fmt.Sprintf("%s|%s|%s|%s", n.c.Cron, n.c.Every, n.c.RRule, n.c.Zone)
	return ota.Inlet{Next: n.next, Plan: plan, Missed: n.c.Missed}, nil
}
