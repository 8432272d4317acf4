package nodes

import (
	"context"
	"errors"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CreateDownloadURLConfig is the "with" of a create_download_url step.
type CreateDownloadURLConfig struct {
	For engine.Duration `yaml:"for"`
}

// maxLinkTime is the longest that a link may hold: what has no end is a hole.
const maxLinkTime = 30 * 24 * time.Hour

// Validate bounds the time.
func (c CreateDownloadURLConfig) Validate() error {
	return engine.Within("for", c.For, time.Second, maxLinkTime)
}

// CreateDownloadURL defines create_download_url, which makes a link to the
// package.
func CreateDownloadURL(l engine.Linker) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "create_download_url",
		Summary: "Makes a signed link to the package that expires.",
		Doc: "Whoever has the link may download the package without a token, by ranges too, until the link expires or the package is deleted. It begins with the server's setting `http_url`. " +
			"Of a package that is a URL it is that URL, which knows of no end.",
		Subject: engine.Device,
		Needs:   []engine.Root{engine.RootPackage},
		Outlets: []engine.Outlet{{Name: "created"}},
		Fields:  []engine.Field{{Key: "for", Doc: "How long it holds, 30d at most."}},
		Outputs: []engine.Output{
			{Name: "url", Type: engine.TextType, Doc: "the link"},
			{Name: "expires_at", Type: engine.TimeType, Doc: "when it ends"},
		},
		Example: `chain: example
summary: Tells a device where it may fetch its firmware during the next quarter of an hour.
trigger: rpc_requested
steps:
  - {node: resolve_package, with: {kind: firmware, pin: true}, to: {absent: nothing}}
  - {node: create_download_url, name: link, with: {for: 15m}}
  - {node: reply, with: {json: {url: "${steps.link.url}", until: "${steps.link.expires_at}"}}}
branches:
  nothing: [{node: reply_error, with: {code: not_found}}]
`,
	}, CreateDownloadURLConfig{For: engine.Lit(time.Hour)}, func(c CreateDownloadURLConfig) (engine.Node, error) {
		return &createDownloadURL{c.For, l}, nil
	})
}

type createDownloadURL struct {
	lasts engine.Duration
	links engine.Linker
}

func (n *createDownloadURL) Process(_ context.Context, r *engine.Run) (string, error) {
	d, err := n.lasts.Get(r)
	if err != nil {
		return "", err
	}
	if err := engine.Between("for", d, time.Second, maxLinkTime); err != nil {
		return "", &ota.Error{Code: ota.Invalid, Op: "create download url", Err: err}
	}
	until := r.Now.Add(d).Truncate(time.Second)
	url := r.Package.URL
	if r.Package.Blob != "" {
		if n.links == nil {
			return "", errors.New("create download url: nobody makes links here")
		}
		if url, err = n.links.Link(r.Msg.Tenant, r.Package.ID, until); err != nil {
			return "", err
		}
	}
	r.Set("url", url)
	r.Set("expires_at", until)
	return "created", nil
}
