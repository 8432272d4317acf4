package graph

import "slices"

// Sizes in the picture, in pixels of 1/96 inch.
const (
	margin    = 24.0
	headRoom  = 62.0 // above the first row, for the chain's name and summary
	legend    = 30.0
	padX      = 10.0
	padY      = 8.0
	lineStep  = 15.0
	portStep  = 17.0
	portTop   = 15.0 // of the first port, and of arrows that come from the left
	minWidth  = 110.0
	trackStep = 9.0
	around    = 10.0 // a branch's field around its boxes
	hang      = 30.0 // what hangs below a box: a label, an end
	titleRoom = 18.0
	arrow     = 12.0
)

// measure gives everything its size and its place.
func (p *picture) measure() {
	for _, b := range p.boxes {
		for len(p.cols) <= b.col {
			p.cols = append(p.cols, column{w: minWidth})
		}
		for len(p.rows) <= b.row {
			p.rows = append(p.rows, row{})
		}
		c := &p.cols[b.col]
		for _, l := range b.lines {
			c.w = max(c.w, l.width()+2*padX)
		}
		b.h = max(float64(len(b.lines))*lineStep+2*padY, float64(len(b.ports)-1)*portStep+portTop+padY)
		p.rows[b.row].h = max(p.rows[b.row].h, b.h)
	}
	for _, l := range p.lanes {
		if l.title != "" {
			r := &p.rows[l.first().row]
			r.titled = true
			c := &p.cols[l.col]
			c.w = max(c.w, line{text: l.title, bold: true}.width()+16)
		}
	}
	for _, b := range p.boxes {
		c := &p.cols[b.col]
		for _, q := range b.ports {
			c.labels = max(c.labels, labelWidth(q.label)+14)
		}
		if b.down != nil {
			c.labels = max(c.labels, labelWidth(b.down.label)+14-c.w/2)
		}
	}
	p.tracks()
	p.stand()
}

// tracks finds which gaps each road uses.
func (p *picture) tracks() {
	for _, b := range p.boxes {
		for _, q := range b.ports {
			if q.to == nil {
				continue
			}
			c := &p.cols[b.col]
			if !slices.Contains(c.tracks, q.bus()) {
				c.tracks = append(c.tracks, q.bus())
			}
			r := &p.rows[q.to.row]
			if !p.fromLeft(q) && !slices.Contains(r.tracks, q.bus()) {
				r.tracks = append(r.tracks, q.bus())
			}
		}
	}
	for i := range p.cols {
		slices.SortStableFunc(p.cols[i].tracks, func(a, b bus) int { return a.to.row - b.to.row })
	}
}

// fromLeft says whether a road may come to its box from the left: the row is
// free up to there.
func (p *picture) fromLeft(q *port) bool {
	if q.to.col <= q.from.col {
		return false
	}
	for _, l := range p.lanes {
		if l.col > q.from.col && l.col < q.to.col && l.top() <= q.to.row && q.to.row <= l.bottom() {
			return false
		}
	}
	return true
}

// stand gives columns, rows and boxes their places.
func (p *picture) stand() {
	x := margin + around
	for i := range p.cols {
		c := &p.cols[i]
		c.x = x
		x += c.w + around + c.labels + float64(len(c.tracks))*trackStep + 2*around
	}
	p.w = x - around + margin
	y := margin + headRoom - hang
	for i := range p.rows {
		r := &p.rows[i]
		r.gap = y + hang
		r.y = r.gap + float64(len(r.tracks))*trackStep + arrow
		if r.titled {
			r.y += titleRoom
		}
		y = r.y + r.h
	}
	p.h = y + hang + legend + margin
	for _, b := range p.boxes {
		b.x, b.w, b.y = p.cols[b.col].x, p.cols[b.col].w, p.rows[b.row].y
		for i, q := range b.ports {
			q.y = b.y + portTop + float64(i)*portStep
		}
	}
}

type point struct{ x, y float64 }

// road is the way of a port's line; the last point has the arrow.
func (p *picture) road(q *port) []point {
	from, to := q.from, q.to
	c := &p.cols[from.col]
	tx := c.x + c.w + around + c.labels + float64(slices.Index(c.tracks, q.bus()))*trackStep
	out := []point{{from.x + from.w, q.y}, {tx, q.y}}
	if p.fromLeft(q) {
		y := to.y + portTop
		if q.bus().dashed {
			y += 8
		}
		return tidy(append(out, point{tx, y}, point{to.x, y}))
	}
	r := &p.rows[to.row]
	y := r.gap + float64(slices.Index(r.tracks, q.bus()))*trackStep
	x := to.x + to.w*3/4
	if q.bus().dashed {
		x += 10
	}
	return tidy(append(out, point{tx, y}, point{x, y}, point{x, to.y}))
}

// tidy drops points that change nothing.
func tidy(ps []point) []point {
	out := ps[:1]
	for _, q := range ps[1:] {
		if q != out[len(out)-1] {
			out = append(out, q)
		}
	}
	return out
}
