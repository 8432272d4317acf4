package nodes_test

import "testing"

func TestFilter(t *testing.T) {
	facts(t, []fact{
		{"passed", nil, "filter_battery", says(`{"battery":81}`), []string{"filter passed", "fail error"}, nil, "conflict", nil},
		{"rejected", nil, "filter_battery", says(`{"battery":80}`), []string{"filter rejected"}, nil, "", nil},
		{"absent", nil, "filter_battery", says(`{}`), []string{"filter rejected"}, nil, "", nil},
	})
}
