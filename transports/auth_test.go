package transports

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// book knows some tokens and counts how often it is asked.
type book struct {
	ota.Facts
	tokens map[string]ota.Ref
	asked  int
	err    error
}

func (b *book) ByKey(_ context.Context, token string) (ota.Ref, error) {
	b.asked++
	if b.err != nil {
		return ota.Ref{}, b.err
	}
	if r, ok := b.tokens[token]; ok {
		return r, nil
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "token", "no such token")
}

func TestAuthenticator(t *testing.T) {
	b := &book{tokens: map[string]ota.Ref{"T1": one, "T2": other}}
	a := NewAuthenticator(b, Guard{Burst: 5, Every: time.Second})
	now := time.Unix(1000, 0)
	a.now = func() time.Time { return now }

	if ref, err := a.Token(t.Context(), "T1", "192.0.2.1:1000"); ref != one || err != nil {
		t.Fatalf("a right token: %v, %v", ref, err)
	}
	for i := range 5 {
		if _, err := a.Token(t.Context(), fmt.Sprint("wrong", i), fmt.Sprint("192.0.2.1:", 2000+i)); ota.CodeOf(err) != ota.NotFound {
			t.Fatalf("wrong token %d: %v", i, err)
		}
	}
	asked := b.asked
	for range 1000 {
		if _, err := a.Token(t.Context(), "wrong", "192.0.2.1:1"); !errors.Is(err, ErrTooMany) {
			t.Fatalf("over the limit: %v", err)
		}
	}
	if b.asked != asked {
		t.Errorf("a refused address was looked up %d times", b.asked-asked)
	}
	if ota.CodeOf(ErrTooMany) != ota.Busy {
		t.Errorf("too many is %q", ota.CodeOf(ErrTooMany))
	}
	if ref, err := a.Token(t.Context(), "T1", "192.0.2.1:3"); ref != one || err != nil {
		t.Errorf("a token that was right before, from the attacker's address: %v, %v", ref, err)
	}
	if ref, err := a.Token(t.Context(), "T2", "192.0.2.2:3"); ref != other || err != nil {
		t.Errorf("another address: %v, %v", ref, err)
	}
	now = now.Add(time.Second)
	if ref, err := a.Token(t.Context(), "T2", "192.0.2.1:4"); ref != other || err != nil {
		t.Errorf("a second later: %v, %v", ref, err)
	}
	if _, err := a.Token(t.Context(), "", "192.0.2.1:4"); ota.CodeOf(err) != ota.NotFound {
		t.Errorf("no token: %v", err)
	}
	if _, err := a.Token(t.Context(), "wrong", "192.0.2.1:4"); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more is forgiven each second, not two: %v", err)
	}
}

func TestAuthenticatorStoreAway(t *testing.T) {
	b := &book{err: ota.Errorf(ota.Busy, "token", "the store is away")}
	a := NewAuthenticator(b, Guard{Burst: 1, Every: time.Hour})
	for range 3 {
		if _, err := a.Token(t.Context(), "T", "192.0.2.1:1"); !errors.Is(err, b.err) {
			t.Fatalf("%v: a store that is away is not the device's fault", err)
		}
	}
}

// TestAuthenticatorIsBounded: a million addresses that are wrong leave little.
func TestAuthenticatorIsBounded(t *testing.T) {
	b := &book{}
	a := NewAuthenticator(b, Guard{})
	for i := range maxWrong + 5000 {
		_, _ = a.Token(t.Context(), "wrong", fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))
	}
	if len(a.wrong) > maxWrong {
		t.Errorf("%d addresses are kept, %d at most", len(a.wrong), maxWrong)
	}
	for i := range 2*maxKnown + 10 {
		a.right(uint64(i))
	}
	if n := len(a.known) + len(a.before); n > 2*maxKnown {
		t.Errorf("%d tokens are kept", n)
	}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7:99": "192.0.2.7/32", "192.0.2.7": "192.0.2.7/32", "[::ffff:192.0.2.7]:1": "192.0.2.7/32",
		"[2001:db8::1]:5": "2001:db8::/64", "[fe80::1%eth0]:5": "fe80::/64", "pipe": "invalid Prefix",
	} {
		if got := network(in).String(); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
