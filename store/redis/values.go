package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// scopeLetters begin the fields of a device's values.
var scopeLetters = map[ota.Scope]string{ota.ClientScope: "c", ota.SharedScope: "s", ota.ServerScope: "v", ota.TelemetryScope: "t"}

// values writes what the turn sets and deletes beside its device.
func (c *commit) values() error {
	t := c.turn
	if len(t.Values) == 0 || t.Delete {
		return nil
	}
	op := "set values of " + t.Home.Ref.String()
	if c.at.num == 0 {
		return ota.Errorf(ota.Internal, op, "only devices have values")
	}
	key := c.at.part.values(c.at.num)
	for i := range t.Values {
		v := &t.Values[i]
		letter, ok := scopeLetters[v.Scope]
		if !ok {
			return ota.Errorf(ota.Internal, op, "%q is no scope", v.Scope)
		}
		if v.JSON == nil {
			c.p.write("unput", key, letter+v.Key)
			continue
		}
		c.p.write("put", key, letter+v.Key, packValue(v))
	}
	return nil
}

func packValue(v *ota.Value) string {
	ms := ""
	if !v.TS.IsZero() {
		ms = strconv.FormatInt(v.TS.UnixMilli(), 10)
	}
	return ms + " " + string(v.JSON)
}

func unpackValue(s ota.Scope, key, text string) ota.Value {
	ms, json, _ := strings.Cut(text, " ")
	v := ota.Value{Scope: s, Key: key, JSON: []byte(json)}
	if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
		v.TS = time.UnixMilli(n).UTC()
	}
	return v
}

// Values returns those of a device's values that exist; see [ota.Facts].
func (s *Store) Values(ctx context.Context, d ota.Ref, scope ota.Scope, keys []string) ([]ota.Value, error) {
	op := "read values of " + d.String()
	letter, ok := scopeLetters[scope]
	if !ok {
		return nil, ota.Errorf(ota.Internal, op, "%q is no scope", scope)
	}
	at, err := placeOf(d)
	if err != nil || at.num == 0 {
		return nil, ota.Errorf(ota.NotFound, op, "there is no such device")
	}
	var out []ota.Value
	hash := at.part.values(at.num)
	if keys == nil {
		all := redis.NewMapStringStringCmd(ctx, "hgetall", hash)
		if err := s.ask(ctx, at.lane(), all); err != nil {
			return nil, fail(op, err)
		}
		for field, text := range all.Val() {
			if strings.HasPrefix(field, letter) {
				out = append(out, unpackValue(scope, field[1:], text))
			}
		}
	} else if len(keys) > 0 {
		args := []any{"hmget", hash}
		for _, k := range keys {
			args = append(args, letter+k)
		}
		some := redis.NewSliceCmd(ctx, args...)
		if err := s.ask(ctx, at.lane(), some); err != nil {
			return nil, fail(op, err)
		}
		for i, v := range some.Val() {
			if text, ok := v.(string); ok {
				out = append(out, unpackValue(scope, keys[i], text))
			}
		}
	}
	slices.SortFunc(out, func(a, b ota.Value) int { return strings.Compare(a.Key, b.Key) })
	return slices.CompactFunc(out, func(a, b ota.Value) bool { return a.Key == b.Key }), nil
}
