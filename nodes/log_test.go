package nodes_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
	"github.com/windlass-ota/windlass/ota"
)

func TestLog(t *testing.T) {
	tests := []struct {
		name  string
		level slog.Level
		want  string
	}{
		{"loud enough", slog.LevelInfo, `level=WARN msg="dev-1 is here" chain=log_line step=hello device=dev-1 by=mqtt n=1` + "\n"},
		{"not loud enough", slog.LevelError, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			noTime := func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}
			l := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: tt.level, ReplaceAttr: noTime}))
			w := newWorld()
			c := loadWith(t, "log_line", engine.Deps{Logger: l})
			r := c.Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device, Transport: "mqtt"}, w.homes[ota.RefOf(tenant, device)], w, start)
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			same(t, "path", pathOf(r), []string{"hello done"})
			same(t, "line before the commit", b.String(), "")
			for _, f := range r.After {
				f()
			}
			same(t, "line", b.String(), tt.want)
		})
	}
}

func TestLogWithoutALogger(t *testing.T) {
	if _, err := engine.NewRegistry(nodes.All(engine.Deps{})); err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	c := loadWith(t, "log_line", engine.Deps{})
	if r := c.Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device}, w.homes[ota.RefOf(tenant, device)], w, start); r.Err != nil {
		t.Fatal(r.Err)
	}
}
