package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

var durationUnits = map[string]time.Duration{
	"ns": 1, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute,
	"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// parseDuration reads 500ms, 90s, 1h30m, 3d, 2w. A bare 0 is allowed.
func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var sum float64
	rest := s
	for rest != "" {
		num, unit, after := cutQuantity(rest)
		u, ok := durationUnits[unit]
		n, err := strconv.ParseFloat(num, 64)
		if !ok || err != nil {
			return 0, fmt.Errorf("%q is no duration; write 500ms, 90s, 15m, 12h, 3d or 2w", s)
		}
		sum += n * float64(u)
		rest = after
	}
	if s == "" || sum > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is no duration; write 500ms, 90s, 15m, 12h, 3d or 2w", s)
	}
	return time.Duration(math.Round(sum)), nil
}

// cutQuantity splits digits and the letters behind them off the front.
func cutQuantity(s string) (num, unit, rest string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	j := i
	for j < len(s) && (s[j] < '0' || s[j] > '9') && s[j] != '.' {
		j++
	}
	return s[:i], s[i:j], s[j:]
}

// printDuration writes days, hours, minutes and seconds, without those that are 0.
func printDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	for _, u := range [...]struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"µs", time.Microsecond}, {"ns", 1}} {
		if n := d / u.d; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.d
		}
	}
	return b.String()
}

var sizeUnits = map[string]float64{
	"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// parseSize reads 512, 4KiB, 64MiB, 1GB.
func parseSize(s string) (Bytes, error) {
	num, unit, rest := cutQuantity(s)
	u, ok := sizeUnits[unit]
	n, err := strconv.ParseFloat(num, 64)
	if !ok || err != nil || rest != "" || n*u > math.MaxInt64/2 || n*u != math.Trunc(n*u) {
		return 0, fmt.Errorf("%q is no size; write 512, 4KiB, 64MiB or 1GB", s)
	}
	return Bytes(n * u), nil
}

// parsePercent reads 2%.
func parsePercent(s string) (Percent, error) {
	num, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	if !ok || err != nil || n < 0 || n > 100 {
		return 0, fmt.Errorf("%q is no share; write 2%%, from 0%% to 100%%", s)
	}
	return Percent(n / 100), nil
}

// parseRate reads 100/1m and unlimited.
func parseRate(s string) (ota.Pace, error) {
	if s == "unlimited" {
		return ota.Pace{}, nil
	}
	num, every, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(num)
	d, err2 := parseDuration(every)
	if !ok || err != nil || err2 != nil || n < 1 || d <= 0 {
		return ota.Pace{}, fmt.Errorf("%q is no rate; write 100/1m, 10/1h or unlimited", s)
	}
	return ota.Pace{Count: n, Every: d}, nil
}

// parseTime reads 2026-12-01T02:00:00Z.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is no time; write 2026-12-01T02:00:00Z", s)
	}
	return t, nil
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number", s)
	}
	return n, nil
}

func parseNumber(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return n, nil
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

func parseKind(s string) (ota.Kind, error) {
	if k := ota.Kind(s); k.Valid() {
		return k, nil
	}
	return "", fmt.Errorf("%q is no kind; write firmware or software", s)
}
