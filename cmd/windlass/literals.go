package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// parsePace reads 100/1m, 10/h and unlimited.
func parsePace(s string) (ota.Pace, error) {
	if s == "unlimited" {
		return ota.Pace{}, nil
	}
	count, every, ok := strings.Cut(s, "/")
	if every != "" && (every[0] < '0' || every[0] > '9') {
		every = "1" + every
	}
	n, err := strconv.Atoi(count)
	d, err2 := time.ParseDuration(every)
	if !ok || err != nil || err2 != nil || n < 1 || d <= 0 {
		return ota.Pace{}, fmt.Errorf("%q is no pace; write 100/1m, 10/1h or unlimited", s)
	}
	return ota.Pace{Count: n, Every: d}, nil
}

var sizeUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// parseSize reads 512, 4KiB, 64MiB and 1GB.
func parseSize(s string) (int64, error) {
	for _, u := range sizeUnits {
		num, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || n < 0 || n*u.size > 1<<62 || n*u.size != float64(int64(n*u.size)) {
			break
		}
		return int64(n * u.size), nil
	}
	return 0, fmt.Errorf("%q is no size; write 512, 4KiB, 64MiB or 1GB", s)
}

// parsePercent reads 3% as 0.03.
func parsePercent(s string) (float64, error) {
	num, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(num, 64)
	if !ok || err != nil || !(n >= 0 && n <= 100) {
		return 0, fmt.Errorf("%q is no share; write 3%%, from 0%% to 100%%", s)
	}
	return n / 100, nil
}

// printSize writes a size for people.
func printSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[i]
}
