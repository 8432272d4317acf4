package nodes

import (
	"context"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ReplyAttributesConfig is the "with" of a reply_attributes step: it has no
// settings.
type ReplyAttributesConfig struct{}

// ReplyAttributes defines reply_attributes, which answers a device that asks
// for its attributes.
func ReplyAttributes() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "reply_attributes",
		Summary: "Answers a device that asks for its attributes, those of the package on offer among them.",
		Doc:     "Names without a value are left out. A device that names none gets all client and all shared attributes. Where there is nothing the answer is empty, in the form of the asker's transport.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{{Name: "replied"}},
		Replies: true,
		Example: `chain: example
summary: Answers a device that asks for its attributes.
trigger: attributes_requested
steps: [{node: reply_attributes}]
`,
	}, ReplyAttributesConfig{}, func(ReplyAttributesConfig) (engine.Node, error) { return replyAttributes{}, nil })
}

type replyAttributes struct{}

func (replyAttributes) Process(ctx context.Context, r *engine.Run) (string, error) {
	ck, sk := r.Msg.ClientKeys, r.Msg.SharedKeys
	all := ck == nil && sk == nil
	p := ota.Reply{Word: ota.SayAttributes}
	if all || len(ck) > 0 {
		attrs, err := storedAttributes(ctx, r, ota.ClientScope, ck)
		if err != nil {
			return "", err
		}
		if len(attrs) > 0 {
			p.Client = ota.Object(attrs)
		}
	}
	if all || len(sk) > 0 {
		attrs, err := sharedAttributes(ctx, r, sk)
		if err != nil {
			return "", err
		}
		if len(attrs) > 0 {
			p.Shared = ota.Object(attrs)
		}
	}
	r.Reply(p)
	return "replied", nil
}

// storedAttributes are the device's attributes of a scope, sorted by name; all
// of them where keys is nil.
func storedAttributes(ctx context.Context, r *engine.Run, s ota.Scope, keys []string) ([]ota.Attr, error) {
	values, err := r.Values(ctx, s, keys)
	if err != nil {
		return nil, err
	}
	attrs := make([]ota.Attr, 0, len(values))
	for _, v := range values {
		attrs = append(attrs, ota.Attr{Name: v.Key, JSON: string(v.JSON)})
	}
	return attrs, nil
}

// sharedAttributes are the device's shared attributes, and behind them those of
// the packages on offer, which are stored nowhere else than in the package.
func sharedAttributes(ctx context.Context, r *engine.Run, keys []string) ([]ota.Attr, error) {
	attrs, err := storedAttributes(ctx, r, ota.SharedScope, keys)
	if err != nil {
		return nil, err
	}
	for _, k := range ota.Kinds() {
		if keys != nil && !slices.ContainsFunc(keys, func(s string) bool { return strings.HasPrefix(s, k.Prefix()+"_") }) {
			continue
		}
		pkg, err := packageOf(ctx, r, r.Track(k).Offer.Package)
		if err != nil {
			return nil, err
		}
		if pkg == nil {
			continue
		}
		for _, a := range ota.OfferAttributes(pkg) {
			if keys == nil || slices.Contains(keys, a.Name) {
				attrs = append(attrs, a)
			}
		}
	}
	return attrs, nil
}
