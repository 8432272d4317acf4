package lwm2m

import (
	"context"

	"github.com/windlass-ota/windlass/ota"
)

func (s *session) call(context.Context, ota.Reply) {}
