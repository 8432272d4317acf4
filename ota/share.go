package ota

import (
	"crypto/sha256"
	"encoding/binary"
)

// Share maps texts to a number in [0, 1) that is the same in every process and
// release: a device's place in a rollout's line, say. Texts that differ by one
// letter lie anywhere, and ("a", "bc") is not ("ab", "c").
func Share(texts ...string) float64 {
	h := sha256.New()
	var n [8]byte
	for _, t := range texts {
		binary.BigEndian.PutUint64(n[:], uint64(len(t)))
		h.Write(n[:])
		h.Write([]byte(t))
	}
	var sum [sha256.Size]byte
	const bits = 53 // what a float64 holds exactly, so that 1 is never reached
	return float64(binary.BigEndian.Uint64(h.Sum(sum[:0]))>>(64-bits)) / (1 << bits)
}
