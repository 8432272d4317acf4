package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestReplyError(t *testing.T) {
	facts(t, []fact{{
		name: "a code and a text", chain: "rpc", msg: ota.Message{Event: ota.RPCRequested, Method: "reboot"},
		path: []string{"switch other", "unknown.reply_error"}, said: []string{"error not_found there is no method reboot"},
	}})
}
