package mqttwire

import "bytes"

// HasWildcard says whether a name holds one of the characters that only a
// filter may hold (section 4.7.1).
func HasWildcard(topic []byte) bool {
	return bytes.IndexByte(topic, '+') >= 0 || bytes.IndexByte(topic, '#') >= 0
}

// ValidFilter says whether a topic filter is well formed (section 4.7.1): "#"
// stands alone in the last level, "+" alone in its level. A shared subscription
// ($share/group/filter, section 4.8.2) needs a group and a filter.
func ValidFilter(filter []byte) bool {
	if group, rest, shared := cutShare(filter); shared {
		return len(group) > 0 && !HasWildcard(group) && len(rest) > 0 && ValidFilter(rest)
	}
	if len(filter) == 0 {
		return false
	}
	for {
		level, rest, more := bytes.Cut(filter, []byte{'/'})
		if len(level) > 1 && HasWildcard(level) {
			return false
		}
		if !more {
			return true
		}
		if len(level) == 1 && level[0] == '#' {
			return false
		}
		filter = rest
	}
}

// IsShared says whether a filter asks for a shared subscription (section 4.8.2).
func IsShared(filter []byte) bool {
	_, _, shared := cutShare(filter)
	return shared
}

func cutShare(filter []byte) (group, rest []byte, shared bool) {
	tail, shared := bytes.CutPrefix(filter, []byte("$share/"))
	if !shared {
		return nil, nil, false
	}
	group, rest, _ = bytes.Cut(tail, []byte{'/'})
	return group, rest, true
}
