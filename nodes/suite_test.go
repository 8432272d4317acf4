package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/engine/enginetest"
	"github.com/windlass-ota/windlass/nodes"
)

func TestFactories(t *testing.T) { enginetest.Factories(t, nodes.All(engine.Deps{})) }
