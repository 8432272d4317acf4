package main

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// text is a YAML file as bytes, and the places in it. It cuts and swaps entries
// of maps and lists, and leaves every other byte where it is.
type text struct {
	src   []byte
	lines []int // where each line begins
}

func newText(src []byte) text {
	t := text{src: src, lines: []int{0}}
	for i, c := range src {
		if c == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

// at is the byte of a line and a column, which counts characters from 1.
func (t text) at(line, col int) int {
	i := t.lines[line-1]
	for range col - 1 {
		_, n := utf8.DecodeRune(t.src[i:])
		i += n
	}
	return i
}

// place is the line and the column of a byte.
func (t text) place(at int) (line, col int) {
	i, found := slices.BinarySearch(t.lines, at)
	if !found {
		i--
	}
	return i + 1, utf8.RuneCount(t.src[t.lines[i]:at]) + 1
}

func (t text) splice(begin, end int, with string) []byte {
	return slices.Concat(t.src[:begin], []byte(with), t.src[end:])
}

// without is the file less the entry that begins at a byte, with the comma
// that parted it from the others.
func (t text) without(at int) []byte {
	begin, end := t.span(at)
	if !t.flow(at) {
		return t.splice(begin, end, "")
	}
	if after := end + blanks(t.src[end:]); t.src[after] == ',' {
		end = after + 1
		end += blanks(t.src[end:])
	} else if before := len(bytes.TrimRight(t.src[:begin], " \n")); t.src[before-1] == ',' {
		begin = before - 1
	}
	return t.splice(begin, end, "")
}

// exchanged is the file with two entries, the first before the second, in each
// other's place.
func (t text) exchanged(first, second int) []byte {
	a, b := t.span(first)
	c, d := t.span(second)
	return slices.Concat(t.src[:a], t.src[c:d], t.src[b:c], t.src[a:b], t.src[d:])
}

// flow says whether an entry stands in brackets: it does when more of them
// open than close before it.
func (t text) flow(at int) bool {
	depth := 0
	t.scan(0, at, func(_ int, c byte) bool {
		depth += nesting(c)
		return true
	})
	return depth > 0
}

// span is where an entry begins and ends. In brackets that is from its first
// byte to the comma or bracket behind it; else whole lines, down to the next
// that is not indented deeper.
func (t text) span(at int) (begin, end int) {
	if t.flow(at) {
		depth := 0
		end = len(t.src)
		t.scan(at, len(t.src), func(i int, c byte) bool {
			if depth == 0 && (c == ',' || c == ']' || c == '}') {
				end = i
				return false
			}
			depth += nesting(c)
			return true
		})
		return at, at + len(bytes.TrimRight(t.src[at:end], " \n"))
	}
	line, _ := t.place(at)
	begin = t.lines[line-1]
	deep := blanks(t.src[begin:])
	for ; line < len(t.lines); line++ {
		rest := t.src[t.lines[line]:]
		if n := blanks(rest); n <= deep && n < len(rest) && rest[n] != '\n' {
			return begin, t.lines[line]
		}
	}
	return begin, len(t.src)
}

// scan visits the bytes from begin to end that are neither in quotes nor in a
// comment, until visit says no. It begins outside of both.
func (t text) scan(begin, end int, visit func(i int, c byte) bool) {
	var quote byte
	for i := begin; i < end; i++ {
		c := t.src[i]
		start := i == 0 || bytes.IndexByte([]byte(" \n[{,"), t.src[i-1]) >= 0
		switch {
		case quote != 0:
			if c == '\\' && quote == '"' {
				i++
			} else if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && start:
			quote = c
		case c == '#' && start:
			for i+1 < end && t.src[i+1] != '\n' {
				i++
			}
		case !visit(i, c):
			return
		}
	}
}

func nesting(c byte) int {
	switch c {
	case '[', '{':
		return 1
	case ']', '}':
		return -1
	}
	return 0
}

// blanks counts the spaces that a text begins with.
func blanks(b []byte) int { return len(b) - len(bytes.TrimLeft(b, " ")) }
