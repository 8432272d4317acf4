package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/windlass-ota/windlass/ota"
)

// Options say which Redis to use.
type Options struct {
	// URL names it:
	//
	//	redis://[user:password@]host[:6379][/db]           one server, or a cluster that it is part of
	//	redis://host1:7000,host2:7000,…                    a cluster, by some of its members
	//	redis+sentinel://host1[:26379],host2/NAME[?db=0]   the master that Sentinels call NAME
	//	unix:///path/to/socket[?db=0]                      one server on this machine
	//
	// rediss:// and rediss+sentinel:// are the same over TLS. With Sentinels,
	// sentinel_user and sentinel_password may be given as in ?sentinel_user=….
	URL string
	// TLS is used with rediss; nil: the system's authorities, TLS 1.2 or later.
	TLS *tls.Config
	// Pool is the number of connections to each server. 0: 10 for each CPU.
	Pool int
	// Dial takes the place of the usual way to an address, in tests.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// minVersion is the first Redis whose scripts and sharded channels we rely on.
var minVersion = [2]int{7, 0}

// Open connects to a Redis and checks that it is one that can keep state:
// version 7.0 or later, and nothing evicted. The client is the caller's to
// close.
func Open(ctx context.Context, o Options) (redis.UniversalClient, error) {
	u, err := parseURL(o)
	if err != nil {
		return nil, &ota.Error{Code: ota.Invalid, Op: "redis URL", Err: err}
	}
	c := u.client()
	if !u.IsClusterMode && u.MasterName == "" {
		clustered, err := isCluster(ctx, c)
		if err != nil {
			c.Close()
			return nil, unreached(err)
		}
		if clustered {
			c.Close()
			if u.DB != 0 {
				return nil, ota.Errorf(ota.Invalid, "redis URL", "a cluster has no database %d, only 0", u.DB)
			}
			u.IsClusterMode = true
			c = u.client()
		}
	}
	if err := suits(ctx, c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// address is a parsed URL; network is "unix" for a socket.
type address struct {
	redis.UniversalOptions
	network string
}

func (a address) client() redis.UniversalClient {
	switch {
	case a.IsClusterMode:
		o := a.Cluster()
		// A master that died is not seen for as long as this takes.
		o.ClusterStateReloadInterval = time.Second
		return redis.NewClusterClient(o)
	case a.MasterName != "":
		return redis.NewFailoverClient(a.Failover())
	}
	o := a.Simple()
	o.Network = a.network
	return redis.NewClient(o)
}

// errURL is what stands for a URL that cannot be parsed: it may hold a password.
var errURL = errors.New("want redis://host:port, redis+sentinel://hosts/name or unix:///path")

func parseURL(o Options) (address, error) {
	a := address{network: "tcp", UniversalOptions: redis.UniversalOptions{
		Dialer: o.Dial, PoolSize: o.Pool, Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true,
		DialTimeout: 2 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}}
	scheme, rest, ok := strings.Cut(o.URL, "://")
	if !ok {
		return a, errURL
	}
	rest, query, _ := strings.Cut(rest, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return a, errURL
	}
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts, found := cutLast(authority, "@")
	if !found {
		user, hosts = "", authority
	}
	if err := a.credentials(user, q); err != nil {
		return a, err
	}
	plain, secure := strings.CutPrefix(scheme, "rediss")
	if !secure {
		plain = strings.TrimPrefix(scheme, "redis")
	}
	switch {
	case scheme == "unix":
		a.network, a.Addrs = "unix", []string{"/" + path}
		return a, a.database(q.Get("db"))
	case scheme != "redis"+plain && scheme != "rediss"+plain, plain != "" && plain != "+sentinel" && plain != "+cluster":
		return a, fmt.Errorf("scheme %q: %w", scheme, errURL)
	}
	port := "6379"
	if plain == "+sentinel" {
		if port, a.MasterName = "26379", path; path == "" {
			return a, errors.New("a Sentinel URL ends with the name of the master: redis+sentinel://host/mymaster")
		}
		path = q.Get("db")
	}
	if err := a.hosts(hosts, port); err != nil {
		return a, err
	}
	a.IsClusterMode = plain == "+cluster" || plain == "" && len(a.Addrs) > 1
	if secure {
		if a.TLSConfig = o.TLS.Clone(); a.TLSConfig == nil {
			a.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	return a, a.database(path)
}

func (a *address) credentials(user string, q url.Values) (err error) {
	name, password, _ := strings.Cut(user, ":")
	if a.Username, err = url.PathUnescape(name); err != nil {
		return errURL
	}
	if a.Password, err = url.PathUnescape(password); err != nil {
		return errURL
	}
	a.SentinelUsername, a.SentinelPassword = q.Get("sentinel_user"), q.Get("sentinel_password")
	for key := range q {
		if key != "db" && key != "sentinel_user" && key != "sentinel_password" {
			return fmt.Errorf("option %q is not known; there are db, sentinel_user and sentinel_password", key)
		}
	}
	return nil
}

func (a *address) hosts(list, port string) error {
	for h := range strings.SplitSeq(list, ",") {
		host, p, err := net.SplitHostPort(h)
		if err != nil { // no port
			host, p = strings.Trim(h, "[]"), port
		}
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("port %q is not one", p)
		}
		if host == "" {
			host = "localhost"
		}
		a.Addrs = append(a.Addrs, net.JoinHostPort(host, p))
	}
	return nil
}

func (a *address) database(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return fmt.Errorf("database %q is not a number", text)
	}
	a.DB = n
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func isCluster(ctx context.Context, c redis.UniversalClient) (bool, error) {
	text, err := c.Info(ctx, "cluster").Result()
	if err != nil {
		var said redis.Error
		if errors.As(err, &said) && strings.Contains(err.Error(), "not supported") {
			return false, nil // miniredis
		}
		return false, err
	}
	return info(text)["cluster_enabled"] == "1", nil
}

// unreached gives a failure to connect its code: what the URL says wrong must
// be changed, all else may pass.
func unreached(err error) error {
	code := ota.Busy
	for _, word := range []string{"WRONGPASS", "NOAUTH", "NOPERM", "SELECT", "DB index", "tls: ", "x509: "} {
		if strings.Contains(err.Error(), word) {
			code = ota.Invalid
		}
	}
	return &ota.Error{Code: code, Op: "connect to redis", Err: err}
}

// suits says why a Redis cannot keep our state, or nil.
func suits(ctx context.Context, c redis.UniversalClient) error {
	check := func(ctx context.Context, c redis.UniversalClient) error {
		text, err := c.Info(ctx, "server", "memory").Result()
		if err != nil && !strings.Contains(err.Error(), "number of arguments") { // miniredis
			return unreached(err)
		}
		return judge(info(text))
	}
	if cluster, ok := c.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error { return check(ctx, m) })
	}
	return check(ctx, c)
}

func judge(facts map[string]string) error {
	const op = "connect to redis"
	version := facts["redis_version"]
	if version == "" {
		return nil
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil || a < minVersion[0] || a == minVersion[0] && b < minVersion[1] {
		return ota.Errorf(ota.Invalid, op, "it is version %s, want %d.%d or later", version, minVersion[0], minVersion[1])
	}
	if p := facts["maxmemory_policy"]; facts["maxmemory"] != "0" && p != "" && p != "noeviction" {
		return ota.Errorf(ota.Invalid, op, "it may drop what it keeps (maxmemory-policy %s); set it to noeviction", p)
	}
	return nil
}

// info parses what INFO says.
func info(text string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[k] = v
		}
	}
	return facts
}
