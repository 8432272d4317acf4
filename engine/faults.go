package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The rules that a fault can name.
const (
	ruleUnknownKey      = "unknown_key"
	ruleUnknownNode     = "unknown_node"
	ruleUnknownOutlet   = "unknown_outlet"
	ruleUnwiredOutlet   = "unwired_outlet"
	ruleUnknownTarget   = "unknown_target"
	ruleUnreachable     = "unreachable"
	ruleUnboundedLoop   = "unbounded_loop"
	ruleRecursion       = "recursion"
	ruleWrongType       = "wrong_type"
	ruleMissing         = "missing"
	ruleBadLiteral      = "bad_literal"
	ruleNotSetHere      = "not_set_here"
	ruleMayBeAbsent     = "may_be_absent"
	ruleBadWord         = "bad_word"
	ruleDoorTaken       = "door_taken"
	ruleWrongSubject    = "wrong_subject"
	ruleNeedsProof      = "needs_proof"
	ruleNoReply         = "no_reply"
	ruleNoOffer         = "no_offer"
	ruleStageOrder      = "stage_order"
	ruleSecretLeak      = "secret_leak"
	ruleNameTaken       = "name_taken"
	ruleReplyBeforeWait = "reply_before_wait"
	ruleNoFinalState    = "no_final_state"
	ruleYAML            = "yaml"
	ruleTooLarge        = "too_large"
)

// Fault is one thing that is wrong with a chain file.
type Fault struct {
	File    string
	Line    int // from 1
	Col     int // from 1, in characters
	Rule    string
	Message string
	Warning bool   // does not stop a load
	Source  string // the line of the file, for the caret; "" when unknown
}

// String is "file:line:column: message (rule)".
func (f Fault) String() string {
	word := ""
	if f.Warning {
		word = "warning: "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s (%s)", f.File, f.Line, f.Col, word, f.Message, f.Rule)
}

// Text is the fault with its line and a caret below the place.
func (f Fault) Text() string {
	if f.Source == "" {
		return f.String()
	}
	var pad strings.Builder
	for i, r := range []rune(f.Source) {
		if i >= f.Col-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		pad.WriteRune(r)
	}
	return f.String() + "\n    " + f.Source + "\n    " + pad.String() + "^"
}

// Faults is everything that is wrong, in the order of files and lines. It is an
// error when at least one of them is more than a warning.
type Faults []Fault

// Error lists one fault a line, warnings included.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Text lists every fault with its line and caret.
func (fs Faults) Text() string {
	var b strings.Builder
	for _, f := range fs {
		b.WriteString(f.Text())
		b.WriteByte('\n')
	}
	return b.String()
}

// Fatal says whether any fault stops the load; with strict warnings do too.
func (fs Faults) Fatal(strict bool) bool {
	return slices.ContainsFunc(fs, func(f Fault) bool { return strict || !f.Warning })
}

// sorted puts faults into order and drops those said twice (a chain that is
// called from several places is compiled once for each).
func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(fs)
}

// closest returns the word among known that a slip of the keyboard may have
// turned into got, or "".
func closest(got string, known []string) string {
	best, at := "", max(1, len(got)/3)+1
	if len(got) > maxWord {
		return ""
	}
	for _, k := range known {
		if max(len(k)-len(got), len(got)-len(k)) >= at || len(k) > maxWord {
			continue
		}
		if d := distance(got, k); d < at {
			best, at = k, d
		}
	}
	return best
}

// didYouMean is the tail of a message about an unknown word.
func didYouMean(got string, known []string) string {
	if k := closest(got, known); k != "" {
		return "; did you mean " + k + "?"
	}
	return ""
}

// maxWord is the length in bytes of the longest word that is guessed at.
const maxWord = 63

// distance counts the bytes to add, drop, change or swap (optimal string
// alignment) between two words of at most maxWord bytes.
func distance(x, y string) int {
	var rows [3][maxWord + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(y) + 1 {
		last[j] = j
	}
	for i := range len(x) {
		row[0] = i + 1
		for j := range len(y) {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
