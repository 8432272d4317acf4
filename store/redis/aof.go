package redis

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A server that is killed while it writes leaves the effects of a script, which
// its log holds as MULTI … EXEC, cut short. Redis 7 then cuts the log behind the
// last whole command, which may be within that MULTI, and goes on to write
// behind it: the next time that it loads the log, the first EXEC to come carries
// out what was left of the torn script as well, and until one comes all that
// was written is dropped. So the log of our own Redis is cut by us, before the
// MULTI, and Redis finds nothing torn.

// cutTorn cuts off the end of the log below dir that is not whole: a command
// that was not written to its end, and the transaction it is in. It returns how
// many bytes went, from which file. What is damaged elsewhere is left for Redis
// to tell. Cutting twice is once.
func cutTorn(dir string) (cut int64, name string, err error) {
	const op = "mend the end of the log"
	dir = filepath.Join(dir, "appendonlydir")
	manifest, err := os.ReadFile(filepath.Join(dir, "appendonly.aof.manifest"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, "", nil // nothing was written yet
	}
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w", op, err)
	}
	name = lastLog(manifest)
	if name == "" {
		return 0, "", nil
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, "", nil // Redis says what it thinks of that
	}
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w", op, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	cut, err = cutFile(f)
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w", op, err)
	}
	return cut, name, nil
}

func cutFile(f *os.File) (int64, error) {
	whole, torn, err := wholeUntil(f)
	if err != nil || !torn {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := f.Truncate(whole); err != nil {
		return 0, err
	}
	return info.Size() - whole, f.Sync()
}

// lastLog is the file that is written to, by a manifest: "" where it names none.
func lastLog(manifest []byte) string {
	name := ""
	for line := range bytes.Lines(manifest) {
		words := strings.Fields(string(line)) // file NAME seq N type b|h|i
		if len(words) >= 6 && words[0] == "file" && words[4] == "type" && words[5] == "i" {
			name = words[1]
		}
	}
	if name != filepath.Base(name) {
		return ""
	}
	return name
}

// wholeUntil returns where the last whole command, or transaction, of a log
// ends, and whether more follows that is cut short. A log that is damaged
// otherwise is not torn.
func wholeUntil(r io.Reader) (whole int64, torn bool, err error) {
	l := logReader{r: bufio.NewReaderSize(r, 256<<10)}
	for multi := false; ; {
		word, err := l.command()
		switch {
		case errors.Is(err, io.EOF):
			return whole, multi, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return whole, true, nil
		case errors.Is(err, errLog):
			return whole, false, nil
		case err != nil:
			return 0, false, err
		}
		switch strings.ToLower(word) {
		case "multi":
			multi = true
		case "exec":
			multi = false
		}
		if !multi {
			whole = l.at
		}
	}
}

var errLog = errors.New("it is no log of commands")

// logReader reads commands as they stand in a log, *2\r\n$3\r\nDEL\r\n$1\r\nk\r\n,
// and the notes between them, which begin with a #.
type logReader struct {
	r  *bufio.Reader
	at int64 // bytes read
}

// command returns the first word of the next command, where that is short: io.EOF at
// the end of all, io.ErrUnexpectedEOF where the command is cut short.
func (l *logReader) command() (word string, err error) {
	for {
		b, err := l.r.Peek(1)
		if err != nil {
			return "", err
		}
		if b[0] != '#' {
			break
		}
		if _, err := l.line(); err != nil {
			return "", err
		}
	}
	n, err := l.number('*')
	if err != nil {
		return "", err
	}
	if n < 1 {
		return "", errLog
	}
	for i := range n {
		size, err := l.number('$')
		if err != nil {
			return "", err
		}
		text, err := l.text(size, i == 0 && size <= len("multi"))
		if err != nil {
			return "", err
		}
		word += text
	}
	return word, nil
}

// maxLine bounds a line: a letter and a number, or a note with a time.
const maxLine = 64

// line reads to the next end of line, without it.
func (l *logReader) line() (string, error) {
	var line []byte
	for {
		b, err := l.r.ReadByte()
		if errors.Is(err, io.EOF) {
			return "", io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		l.at++
		if b == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if line = append(line, b); len(line) > maxLine {
			return "", errLog
		}
	}
}

func (l *logReader) number(letter byte) (int, error) {
	line, err := l.line()
	if err != nil {
		return 0, err
	}
	if line == "" || line[0] != letter {
		return 0, errLog
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return 0, errLog
	}
	return n, nil
}

// text reads size bytes and the end of line behind them, and keeps them if told.
func (l *logReader) text(size int, keep bool) (string, error) {
	var out []byte
	if keep {
		out = make([]byte, size)
		n, err := io.ReadFull(l.r, out)
		l.at += int64(n)
		if err != nil {
			return "", short(err)
		}
	} else if err := l.skip(size); err != nil {
		return "", err
	}
	var end [2]byte
	n, err := io.ReadFull(l.r, end[:])
	l.at += int64(n)
	if err != nil {
		return "", short(err)
	}
	if string(end[:]) != "\r\n" {
		return "", errLog
	}
	return string(out), nil
}

func (l *logReader) skip(size int) error {
	n, err := l.r.Discard(size)
	l.at += int64(n)
	return short(err)
}

// short is err, io.ErrUnexpectedEOF for an end in the middle.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
