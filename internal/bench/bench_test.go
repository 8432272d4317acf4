package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets this program be a raw part, as the bench itself can.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == floorVerb {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestAllRows goes through every row with next to no load: that all of it works,
// and that every figure comes out. How large the figures are is no matter.
func TestAllRows(t *testing.T) {
	tiny := plan{Rounds: 1, Round: 50 * time.Millisecond, Messages: 1000, Conns: 4, Reporters: 4, Turns: 500, Offers: 10, Idle: 20}
	var said bytes.Buffer
	r, err := measure(t.Context(), tiny, usual, "", &said)
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	var got []int
	for _, row := range r.Rows {
		got = append(got, row.No)
		parts := append([]*part{row.Ours}, row.Beside...)
		if row.Raw != nil {
			parts = append(parts, row.Raw)
		}
		for _, p := range parts {
			if f := p.figures(); len(f) != 1 {
				t.Errorf("row %d, %s: figures %v, want one", row.No, p.Name, f)
			}
		}
		if row.Raw != nil && row.Ratio == nil || row.Met == "" {
			t.Errorf("row %d has no ratio or says not whether the goal is met: %+v", row.No, row)
		}
	}
	if !slices.Equal(got, usual) {
		t.Errorf("rows %v, want %v", got, usual)
	}
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := r.save(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(text, &back); err != nil || len(back.Rows) != len(usual) {
		t.Errorf("the file holds %d rows, %v", len(back.Rows), err)
	}
	var table bytes.Buffer
	if err := r.print(&table); err != nil || table.Len() == 0 {
		t.Errorf("table %q, %v", &table, err)
	}
	t.Logf("\n%s", &table)
}

func TestRows(t *testing.T) {
	tests := []struct {
		text string
		want []int
		ok   bool
	}{
		{"1", []int{1}, true},
		{"7,1, 7", []int{1, 7}, true},
		{"1,2,3,4,5,6,7,8,14,15,16", usual, true},
		{"9", nil, false},
		{"", nil, false},
		{"1,x", nil, false},
	}
	for _, tt := range tests {
		got, err := parseRows(tt.text)
		if !slices.Equal(got, tt.want) || (err == nil) != tt.ok {
			t.Errorf("rows %q: %v, %v; want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		v    []float64
		want spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, spreadOf(tt.v)); diff != "" {
			t.Errorf("%v: %s", tt.v, diff)
		}
	}
}

// TestRatio pairs the rounds: a slow machine is slow for both.
func TestRatio(t *testing.T) {
	r := &row{Raw: &part{PerCPU: []float64{100, 50, 200}}, Ours: &part{PerCPU: []float64{80, 40, 100}}}
	if got, want := r.compare(), (spread{0.8, 0.5, 0.8}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
}

func TestParseBenchmark(t *testing.T) {
	const out = `goos: linux
BenchmarkReports/unix/kept-2         	       1	   0.5 turns/s
BenchmarkReports/unix/kept-2         	   30000	         0 ns/op	     31337 turns/our-cpu-s	     12.5 turns/s
PASS
`
	got, err := parseBenchmark([]byte(out))
	if diff := cmp.Diff(map[string]float64{"ns/op": 0, "turns/our-cpu-s": 31337, "turns/s": 12.5}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := parseBenchmark([]byte("PASS\n")); err == nil {
		t.Error("figures were found where no benchmark had run")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.83: "0.83", 42: "42", 1234: "1.23 k", 25900: "25.9 k", 537000: "537 k", 1270000: "1.27 M"} {
		if got := number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

// TestOwnStat reads this very process.
func TestOwnStat(t *testing.T) {
	s, err := statOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if s.parent != os.Getppid() || s.rss < 1<<20 || s.name == "" {
		t.Errorf("found %+v, the parent is %d", s, os.Getppid())
	}
}
