package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestSetAttributes(t *testing.T) {
	reported := ota.Message{Event: ota.AttributesReported, Values: []byte(`{"serial":"7","rev":1.10,"gone":null}`)}
	path := []string{"set_attributes set"}
	keeps := func(want ...string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) { same(t, "values", kept(r.Values), want) }
	}
	facts(t, []fact{
		{"a device's own", nil, "attributes", reported, path, nil, "", keeps(`client serial "7" +0s`, "client rev 1.10 +0s")},
		{"shared ones are told", nil, "set_shared", says(`{"b":1.10,"a":"x"}`), path, []string{`push attributes shared {"b":1.10,"a":"x"}`}, "", keeps("shared b 1.10 +0s", `shared a "x" +0s`)},
		{"or not told", nil, "set_quietly", says(`{}`), path, nil, "", keeps("shared interval 60 +0s")},
		{"nothing to tell", nil, "set_shared", says(`{}`), path, nil, "", keeps()},
		{"an offer's are nobody's", nil, "set_shared", says(`{"a":1,"fw_title":"app"}`), []string{"set_attributes error"}, nil, ota.Invalid, keeps()},
		{"no object", nil, "set_shared", says(`7`), []string{"set_attributes error"}, nil, ota.Invalid, keeps()},
	})
}
