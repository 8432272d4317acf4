package graph

import (
	"slices"

	"github.com/windlass-ota/windlass/engine"
)

// A chain is lists of steps, and the picture keeps them: each list is a lane,
// read downwards, the main road at the left. Rows are shared by all lanes and
// come from the longest way to a step. What does not lead to the next step of
// its lane leaves a box at the right, by a port, and runs in the gaps between
// columns and rows, so that no line crosses a box.

// box is a step, or what starts one.
type box struct {
	step   *engine.GraphStep // nil for a start
	lines  []line
	dashed bool // a start by an error
	lane   int
	row    int
	col    int
	x, y   float64
	w, h   float64

	down  *port // to the next box of the lane, or to an end below
	ports []*port
}

// port is a way out of a box, at its right side or its bottom.
type port struct {
	label string
	kind  engine.RoadKind
	faint bool // left out in the file
	to    *box // nil: the run ends
	from  *box
	y     float64
}

// bus is what roads to the same box share: a line in a column's gap, a line in a
// row's gap, and the arrow. Errors have one of their own.
type bus struct {
	to     *box
	dashed bool
}

func (p *port) bus() bus { return bus{p.to, p.kind == engine.RoadError} }

type lane struct {
	title string // "" for the main road and for starts
	boxes []*box
	col   int
}

func (l *lane) top() int    { return l.boxes[0].row }
func (l *lane) bottom() int { return l.boxes[len(l.boxes)-1].row }

// first is the first row that holds a step.
func (l *lane) first() *box {
	for _, b := range l.boxes {
		if b.step != nil {
			return b
		}
	}
	return l.boxes[0]
}

type picture struct {
	lanes []*lane
	boxes []*box
	cols  []column
	rows  []row
	w, h  float64
}

// column is one column of boxes; right of it lie the labels of its ports and the
// lines of its gap.
type column struct {
	x, w, labels float64
	tracks       []bus
}

// row is one row of boxes; above it lie what hangs below the row before, the
// lines of its gap, and titles.
type row struct {
	y, h   float64
	gap    float64 // y of the first line
	tracks []bus
	titled bool
}

func layout(g *engine.Graph) *picture {
	p := &picture{}
	at := p.place(g)
	p.starts(g, at)
	p.roads(g, at)
	p.number()
	p.columns()
	p.measure()
	return p
}

// place makes the lanes and their boxes.
func (p *picture) place(g *engine.Graph) map[string]*box {
	at := map[string]*box{}
	for i, name := range append([]string{""}, g.Branches...) {
		l := &lane{title: name}
		for _, s := range inBranch(g, name) {
			b := &box{step: &s, lines: stepText(s), lane: i}
			at[s.Name] = b
			l.boxes = append(l.boxes, b)
		}
		p.lanes = append(p.lanes, l)
	}
	p.lanes = slices.DeleteFunc(p.lanes, func(l *lane) bool { return len(l.boxes) == 0 })
	return at
}

// starts puts what starts a step above it where it is the first of its lane, and
// into a lane of its own elsewhere.
func (p *picture) starts(g *engine.Graph, at map[string]*box) {
	by := map[bus]*box{}
	var all []*box
	for _, s := range g.Starts {
		if at[s.To] == nil {
			continue
		}
		key := bus{to: at[s.To]}
		if by[key] == nil {
			by[key] = &box{}
			by[key].down = &port{kind: engine.RoadMain, from: by[key], to: key.to}
			all = append(all, by[key])
		}
		by[key].lines = append(by[key].lines, startText(s)...)
	}
	if to := at[g.OnError]; to != nil {
		b := &box{dashed: true, lines: []line{{text: "any error", bold: true}}}
		b.down = &port{kind: engine.RoadError, from: b, to: to}
		all = append(all, b)
	}
	for _, b := range all {
		i := slices.IndexFunc(p.lanes, func(l *lane) bool { return l.boxes[0] == b.down.to })
		if i >= 0 {
			p.lanes[i].boxes = slices.Insert(p.lanes[i].boxes, 0, b)
			continue
		}
		b.ports, b.down = []*port{b.down}, nil
		p.lanes = append(p.lanes, &lane{boxes: []*box{b}})
	}
	for i, l := range p.lanes {
		for _, b := range l.boxes {
			b.lane = i
			p.boxes = append(p.boxes, b)
		}
	}
}

// roads gives each box its ways out.
func (p *picture) roads(g *engine.Graph, at map[string]*box) {
	next := map[*box]*box{}
	for _, l := range p.lanes {
		for i, b := range l.boxes[1:] {
			next[l.boxes[i]] = b
		}
	}
	for _, r := range folded(g) {
		from, to := at[r.From], at[r.To]
		q := &port{label: r.Outlet, kind: r.Kind, faint: r.Unsaid, from: from, to: to}
		below := to != nil && to == next[from] && r.Kind != engine.RoadError || to == nil && r.Kind == engine.RoadMain
		if below && from.down == nil {
			from.down = q
			continue
		}
		from.ports = append(from.ports, q)
	}
}

// number gives each box its row: the longest way to it, over the roads that do
// not lead back.
func (p *picture) number() {
	ways := map[*box][]*box{} // to → from, at least a row above
	beside := map[*box][]*box{}
	var above func(b, of *box, seen map[*box]bool) bool // b stands above of already
	above = func(b, of *box, seen map[*box]bool) bool {
		if b == of {
			return true
		}
		if seen[of] {
			return false
		}
		seen[of] = true
		up := func(x *box) bool { return above(b, x, seen) }
		return slices.ContainsFunc(ways[of], up) || slices.ContainsFunc(beside[of], up)
	}
	for _, l := range p.lanes {
		for i, b := range l.boxes[1:] {
			ways[b] = append(ways[b], l.boxes[i])
		}
	}
	for _, b := range p.boxes {
		for _, q := range b.ports {
			switch {
			case q.to == nil || above(q.to, b, map[*box]bool{}):
			case p.lanes[q.to.lane].first() == q.to && q.to.lane != b.lane && q.to.lane > 0:
				beside[q.to] = append(beside[q.to], b)
			default:
				ways[q.to] = append(ways[q.to], b)
			}
		}
	}
	done := map[*box]bool{}
	var find func(b *box) int
	find = func(b *box) int {
		if !done[b] {
			for _, x := range ways[b] {
				b.row = max(b.row, find(x)+1)
			}
			for _, x := range beside[b] {
				b.row = max(b.row, find(x))
			}
			done[b] = true
		}
		return b.row
	}
	for _, b := range p.boxes {
		find(b)
	}
	p.settle()
}

// settle lets what stands above the first step of a lane stand just above it.
func (p *picture) settle() {
	for _, l := range p.lanes {
		first := slices.Index(l.boxes, l.first())
		for i := first - 1; i >= 0; i-- {
			l.boxes[i].row = l.boxes[i+1].row - 1
		}
	}
}

// columns gives each lane a column: right of whatever leads to it, and where its
// rows are free.
func (p *picture) columns() {
	from := map[int][]int{} // lane → lanes that lead to it
	for _, b := range p.boxes {
		for _, q := range b.ports {
			if q.to != nil && q.to.lane != b.lane {
				from[q.to.lane] = append(from[q.to.lane], b.lane)
			}
		}
	}
	order := make([]int, len(p.lanes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order[min(1, len(order)):], func(a, b int) int { return p.lanes[a].top() - p.lanes[b].top() })
	placed := map[int]bool{}
	for n, i := range order {
		col := min(n, 1)
		for _, f := range from[i] {
			if placed[f] && n > 0 {
				col = max(col, p.lanes[f].col+1)
			}
		}
		for p.taken(placed, col, p.lanes[i]) {
			col++
		}
		p.lanes[i].col, placed[i] = col, true
		for _, b := range p.lanes[i].boxes {
			b.col = col
		}
	}
}

func (p *picture) taken(placed map[int]bool, col int, l *lane) bool {
	for i, o := range p.lanes {
		if placed[i] && o.col == col && l.top() <= o.bottom() && o.top() <= l.bottom() {
			return true
		}
	}
	return false
}
