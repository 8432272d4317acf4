package chaintest

import (
	"reflect"
	"slices"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

// How devices live that behave.
const (
	wordTakes = time.Second      // from the moment at which a device begins to speak until it was heard
	installs  = 10 * time.Second // from UPDATING on
	rebootFor = 30 * time.Second // a device is away that has lost its connection
	repeats   = 10 * time.Second // a word is said again that nobody answered
	polls     = 15 * time.Minute // a device asks that may have missed a push
)

// behaviour is how a device acts by itself.
type behaviour struct {
	word       string         // good or silent
	Slow       time.Duration  `yaml:"slow"`
	Fails      string         `yaml:"fails"`
	Lies       string         `yaml:"lies"`
	RebootsAt  engine.Percent `yaml:"reboots_at"`
	Loses      engine.Percent `yaml:"loses"`
	Duplicates engine.Percent `yaml:"duplicates"`
}

var behaviours = []string{"good", "silent", "slow", "fails", "lies", "reboots_at", "loses", "duplicates"}

func (b *behaviour) read(rd *reader, n *yamlx.Node) {
	if n.Kind != yamlx.Scalar {
		type plain behaviour
		rd.fields(reflect.ValueOf((*plain)(b)).Elem(), n, "behaves")
		return
	}
	switch b.word = n.Text; {
	case n.Text == "good" || n.Text == "silent":
	case slices.Contains(behaviours, n.Text):
		rd.fault(n, ruleBadLiteral, "behaves: %s needs a value; write {%s: …}", n.Text, n.Text)
	default:
		rd.fault(n, ruleBadWord, "no device behaves %q; there are good, silent, {slow: 2h}, {fails: text}, {lies: version}, {reboots_at: 60%%}, {loses: 5%%}, {duplicates: 10%%}%s",
			n.Text, engine.DidYouMean(n.Text, behaviours))
	}
}
