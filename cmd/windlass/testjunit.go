package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/chaintest"
)

// The elements of JUnit's XML that GitHub, GitLab and Jenkins read: a suite for
// each file, a case for each case.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string     `xml:"name,attr"`
	Class   string     `xml:"classname,attr"`
	File    string     `xml:"file,attr"`
	Line    int        `xml:"line,attr,omitempty"`
	Time    string     `xml:"time,attr"`
	Failure *junitText `xml:"failure"`
	Error   *junitText `xml:"error"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// writeJUnit writes what came of tests as JUnit's XML.
func writeJUnit(name string, files []chaintest.FileReport) error {
	var all junitSuites
	var sum time.Duration
	for _, f := range files {
		s := junitSuite{Name: f.Name, Time: seconds(f.Took)}
		class := strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(f.Name, "./"), "/", "."), ".yaml")
		for _, c := range f.Cases {
			x := junitCase{Name: c.Name, Class: class, File: f.Name, Line: c.Line, Time: seconds(c.Took)}
			if len(c.Failures) > 0 {
				s.Failures++
				x.Failure = failureText(c.Failures)
			}
			s.Cases = append(s.Cases, x)
		}
		if f.Err != nil {
			s.Errors++
			text := f.Err.Error()
			if fs := engine.FaultsOf(f.Err); fs != nil {
				text = fs.Text()
			}
			message, _, _ := strings.Cut(f.Err.Error(), "\n")
			s.Cases = append(s.Cases, junitCase{Name: "the file can be played", Class: class, File: f.Name, Time: "0.000", Error: &junitText{message, "error", text}})
		}
		s.Tests = len(s.Cases)
		all.Tests, all.Failures, all.Errors, sum = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors, sum+f.Took
		all.Suites = append(all.Suites, s)
	}
	all.Time = seconds(sum)
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append([]byte(xml.Header), append(data, '\n')...), 0o644) //nolint:gosec // a report is for everybody
}

func failureText(fs []chaintest.Failure) *junitText {
	var lines []string
	for _, f := range fs {
		lines = append(lines, f.String())
	}
	lines = append(lines, fs[0].Ran)
	lines = append(lines, fs[0].Trouble...)
	return &junitText{fs[0].Text, "failure", strings.Join(lines, "\n")}
}
