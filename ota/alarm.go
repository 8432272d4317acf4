package ota

import (
	"slices"
	"time"
)

// Severity says how soon people should look at an alarm.
type Severity string

// The severities, from the least on.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Severities lists every severity.
func Severities() []Severity { return []Severity{Info, Warning, Critical} }

// Alarm is something that people should look at until it is cleared. It lies in
// the home that it is about, so that it is written with what led to it.
type Alarm struct {
	Key      string // what it is about, unique within its home
	Severity Severity
	Message  string // of the last time
	Count    int    // how often it was raised since it was cleared
	Raised   time.Time
	Last     time.Time
}

// maxAlarms bounds the alarms of one home; the oldest go.
const maxAlarms = 32

// Raise raises an alarm, or counts it once more where its key is raised already:
// severity and message are then those of the last time. It returns the alarm as
// it stands, and whether it is new.
func (h *Home) Raise(key string, s Severity, message string, now time.Time) (Alarm, bool) {
	i := slices.IndexFunc(h.Alarms, func(a Alarm) bool { return a.Key == key })
	fresh := i < 0
	if fresh {
		if n := len(h.Alarms) - maxAlarms + 1; n > 0 {
			h.Alarms = slices.Delete(h.Alarms, 0, n)
		}
		i = len(h.Alarms)
		h.Alarms = append(h.Alarms, Alarm{Key: key, Raised: now})
	}
	a := &h.Alarms[i]
	a.Severity, a.Message, a.Last = s, message, now
	a.Count++
	return *a, fresh
}

// Clear takes an alarm away; false where it is not raised.
func (h *Home) Clear(key string) bool {
	n := len(h.Alarms)
	h.Alarms = slices.DeleteFunc(h.Alarms, func(a Alarm) bool { return a.Key == key })
	return len(h.Alarms) < n
}
