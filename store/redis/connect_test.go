package redis

import (
	"slices"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestParseURL(t *testing.T) {
	tests := []struct {
		url, network, addrs, master, user, password string
		db                                          int
		cluster, tls                                bool
	}{
		{url: "redis://localhost", network: "tcp", addrs: "localhost:6379"},
		{url: "redis://u:p%40ss@h:7000/3", network: "tcp", addrs: "h:7000", user: "u", password: "p@ss", db: 3},
		{url: "redis://:secret@[::1]:7000", network: "tcp", addrs: "[::1]:7000", password: "secret"},
		{url: "rediss://h", network: "tcp", addrs: "h:6379", tls: true},
		{url: "redis://a:1,b:2,c", network: "tcp", addrs: "a:1 b:2 c:6379", cluster: true},
		{url: "redis+cluster://a:1", network: "tcp", addrs: "a:1", cluster: true},
		{url: "redis+sentinel://a,b:2/main?db=2&sentinel_user=s", network: "tcp", addrs: "a:26379 b:2", master: "main", db: 2},
		{url: "rediss+sentinel://a/main", network: "tcp", addrs: "a:26379", master: "main", tls: true},
		{url: "unix:///run/redis.sock?db=1", network: "unix", addrs: "/run/redis.sock", db: 1},
		{url: "unix://u:p@/run/redis.sock", network: "unix", addrs: "/run/redis.sock", user: "u", password: "p"},
	}
	for _, c := range tests {
		a, err := parseURL(Options{URL: c.url})
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if a.network != c.network || !slices.Equal(a.Addrs, strings.Fields(c.addrs)) || a.MasterName != c.master || a.Username != c.user ||
			a.Password != c.password || a.DB != c.db || a.IsClusterMode != c.cluster || (a.TLSConfig != nil) != c.tls {
			t.Errorf("%s: got %s %q master %q %q:%q db %d cluster %v tls %v", c.url, a.network, a.Addrs, a.MasterName, a.Username, a.Password, a.DB, a.IsClusterMode, a.TLSConfig != nil)
		}
	}
	for _, url := range []string{"", "localhost:6379", "http://h", "redisx://h", "redis://h:x", "redis://h:0", "redis://h/x", "redis://h/-1", "redis+sentinel://h", "redis://h?tls=1", "redis://%zz@h"} {
		_, err := Open(t.Context(), Options{URL: url})
		if ota.CodeOf(err) != ota.Invalid {
			t.Errorf("%q: %v, want invalid", url, err)
		}
	}
	_, err := parseURL(Options{URL: "redis://u:hunter2@h:x"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		version, memory, policy string
		want                    ota.Code
	}{
		{"7.0.15", "0", "noeviction", ""},
		{"8.2.0", "0", "allkeys-lru", ""}, // without a limit nothing is dropped
		{"7.4.1", "1000000", "noeviction", ""},
		{"7.4.1", "1000000", "allkeys-lru", ota.Invalid},
		{"6.2.14", "0", "noeviction", ota.Invalid},
		{"5.0", "0", "", ota.Invalid},
		{"odd", "0", "", ota.Invalid},
		{"", "", "", ""},
	}
	for _, c := range tests {
		err := judge(map[string]string{"redis_version": c.version, "maxmemory": c.memory, "maxmemory_policy": c.policy})
		if ota.CodeOf(err) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
