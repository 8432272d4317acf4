package mqtt

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// limiter slows down those who guess tokens: each address may fail burst times
// at once and then once every interval. A device that repeats one wrong token
// over and over is broken, not guessing: it pays a tenth, so that it does not
// lock out its neighbours behind the same address.
//
// Addresses of one IPv6 /64 count as one, as one host may hold them all.
type limiter struct {
	burst    float64
	interval time.Duration
	seed     maphash.Seed

	mu    sync.Mutex
	fails map[netip.Prefix]*failures
	swept time.Time
}

// failures is what one address owes.
type failures struct {
	spent float64 // failures not yet forgiven
	at    time.Time
	last  uint64 // hash of the last wrong token
}

// maxAddresses bounds the memory of the limiter. Above it those who owe least
// are forgotten first.
const maxAddresses = 100_000

func newLimiter(burst int, interval time.Duration) *limiter {
	return &limiter{burst: float64(burst), interval: interval, seed: maphash.MakeSeed(), fails: map[netip.Prefix]*failures{}}
}

// allow says whether an address may try a token now.
func (l *limiter) allow(a netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fails[network(a)]
	if f == nil {
		return true
	}
	l.forgive(f, now)
	return f.spent <= l.burst-1
}

// failed books a wrong token.
func (l *limiter) failed(a netip.Addr, token []byte, now time.Time) {
	sum := maphash.Bytes(l.seed, token)
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fails[network(a)]
	if f == nil {
		l.sweep(now)
		f = &failures{at: now, last: sum + 1}
		l.fails[network(a)] = f
	}
	l.forgive(f, now)
	if f.last == sum {
		f.spent += 0.1
	} else {
		f.spent++
	}
	f.last = sum
}

func (l *limiter) forgive(f *failures, now time.Time) {
	if gone := now.Sub(f.at); gone > 0 {
		f.spent = max(0, f.spent-float64(gone)/float64(l.interval))
		f.at = now
	}
}

// sweep drops addresses that owe nothing any more, at most once an interval
// unless there are too many; then whoever owes less than half the burst goes too.
func (l *limiter) sweep(now time.Time) {
	full := len(l.fails) >= maxAddresses
	if !full && now.Sub(l.swept) < l.interval {
		return
	}
	l.swept = now
	for a, f := range l.fails {
		l.forgive(f, now)
		if f.spent == 0 || full && f.spent < l.burst/2 {
			delete(l.fails, a)
		}
	}
	for a := range l.fails {
		if len(l.fails) < maxAddresses {
			return
		}
		delete(l.fails, a)
	}
}

func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // an address that is none: all of those share one budget
	}
	return p
}
