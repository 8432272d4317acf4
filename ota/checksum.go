package ota

import (
	"crypto/md5" //nolint:gosec // devices choose it, and it is no signature
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/twmb/murmur3"
)

// ChecksumAlgorithm is how a package's checksum was made, in ThingsBoard's words.
type ChecksumAlgorithm string

// The seven algorithms that devices know.
const (
	MD5        ChecksumAlgorithm = "MD5"
	SHA256     ChecksumAlgorithm = "SHA256"
	SHA384     ChecksumAlgorithm = "SHA384"
	SHA512     ChecksumAlgorithm = "SHA512"
	CRC32      ChecksumAlgorithm = "CRC32"
	Murmur3x32 ChecksumAlgorithm = "MURMUR3_32"
	Murmur3128 ChecksumAlgorithm = "MURMUR3_128"
)

// ChecksumAlgorithms lists all seven.
func ChecksumAlgorithms() []ChecksumAlgorithm {
	return []ChecksumAlgorithm{MD5, SHA256, SHA384, SHA512, CRC32, Murmur3x32, Murmur3128}
}

// Valid says whether a is one of the seven.
func (a ChecksumAlgorithm) Valid() bool { return a.New() != nil }

// New returns a hash whose sum [ChecksumAlgorithm.Hex] can print, or nil where
// the algorithm is unknown.
func (a ChecksumAlgorithm) New() hash.Hash {
	switch a {
	case MD5:
		return md5.New() //nolint:gosec // see above
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	case CRC32:
		return crc32.NewIEEE()
	case Murmur3x32:
		return murmur3.New32()
	case Murmur3128:
		return murmur3.New128()
	}
	return nil
}

// Hex prints the sum of h, made by a.New, as devices expect it: lower case, no
// prefix. CRC32 and both Murmur values are written with their least significant
// byte first (as Guava's HashCode does, which ThingsBoard uses).
func (a ChecksumAlgorithm) Hex(h hash.Hash) string {
	switch v := h.(type) {
	case murmur3.Hash128:
		h1, h2 := v.Sum128()
		return hex.EncodeToString(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, h1), h2))
	case hash.Hash32:
		return hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, v.Sum32()))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Sum is the checksum of data in the form of [ChecksumAlgorithm.Hex]; "" where
// the algorithm is unknown.
func (a ChecksumAlgorithm) Sum(data []byte) string {
	h := a.New()
	if h == nil {
		return ""
	}
	h.Write(data)
	return a.Hex(h)
}

func algorithmNames() string {
	var names []string
	for _, a := range ChecksumAlgorithms() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}
