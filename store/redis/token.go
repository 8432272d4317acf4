package redis

import (
	"crypto/sha256"
	"encoding/base64"
)

// tokenHash is what stands for a token in keys. Looking it up takes a time that
// says nothing about the token, as nobody can steer the first bytes of a hash.
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
