package mqttwire

// writer appends the fields of a body. Like a cursor it keeps its first failure.
type writer struct {
	b   []byte
	err error
}

func (w *writer) binary(b []byte) {
	if w.err == nil {
		w.b, w.err = appendBinary(w.b, b)
	}
}

// props writes a property block where the version has one.
func (w *writer) props(p *Properties, v Version) {
	if w.err == nil && v == V5 {
		w.b, w.err = p.append(w.b)
	}
}

// shut ends the packet whose length goes in at, extra bytes of which follow by
// other means. A packet that failed is taken back, its first byte too.
func (w *writer) shut(at, extra int) ([]byte, error) {
	if w.err == nil {
		w.b, w.err = shut(w.b, at, extra)
	}
	if w.err != nil {
		return w.b[:at-1], w.err
	}
	return w.b, nil
}
