// Package redis keeps state in Redis 7 (single, Sentinel or Cluster): homes,
// the indexes, counters, lines and due entries that follow from them, unique
// names, latest values, leases and pace. It implements [ota.Homes], [ota.Facts]
// (always fresh), [ota.Lister], [ota.Owner] and [ota.Bus].
//
// A home is one packed string in one hash slot, and everything that is derived
// from it lies in the same slot, so that one script writes a turn whole or not
// at all. keys.go says where everything lies.
//
// The package knows no policy: what shall happen to a device is decided by
// ota's rules and by chains, before a turn gets here. It reads nothing of what
// it stores except to answer those interfaces.
package redis
