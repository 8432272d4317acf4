package engine

// check holds what follows from the roads of a chain; see roads.go.
func (b *builder) check(top *inst, starts []int32) {
	for _, p := range b.protos {
		p.fac.Spec.Outlets = p.outlets
	}
	b.configured(top, b.doc.nameAt, b.doc.src)
	_ = starts
}

func stepFact(p *proto) string { return "step " + p.full }
