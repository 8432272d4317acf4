package ota

import "testing"

// The vectors of Guava's hash functions, which ThingsBoard and its clients use.
func TestChecksums(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	tests := []struct{ name, in, crc, m32, m128 string }{
		{"a", "a", "43beb7e8", "b269253c", "897859f6655555855a890e51483ab5e6"},
		{"hello", "hello", "86a61036", "47fa8b24", "029bbd41b3a7d8cb191dae486a901e5b"},
		{"digits", "123456789", "2639f4cb", "82f3feb4", "a4cc66db5e64843c05a11e3ac7faf899"},
		{"fox", "The quick brown fox jumps over the lazy dog", "39a34f41", "23f74f2e", "6c1b07bc7bbc4be347939ac4a93c437a"},
		{"one byte", "\x01", "1bdf05a5", "abd15ae4", "16fe7483905cce7a85670e43e4678877"},
		{"all bytes", string(all), "738c0529", "560e0ae4", "b9126fdc13c3991c1ecc34ab7f07d670"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for a, want := range map[ChecksumAlgorithm]string{CRC32: tt.crc, Murmur3x32: tt.m32, Murmur3128: tt.m128} {
				if got := a.Sum([]byte(tt.in)); got != want {
					t.Errorf("%s = %s, want %s", a, got, want)
				}
			}
		})
	}
	if got, want := SHA256.Sum([]byte{1}), "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"; got != want {
		t.Errorf("SHA256 = %s, want %s", got, want)
	}
	for a, digits := range map[ChecksumAlgorithm]int{MD5: 32, SHA256: 64, SHA384: 96, SHA512: 128, CRC32: 8, Murmur3x32: 8, Murmur3128: 32} {
		if got := len(a.Sum(nil)); got != digits {
			t.Errorf("%s has %d digits, want %d", a, got, digits)
		}
	}
	if ChecksumAlgorithm("SHA1").Valid() {
		t.Error("SHA1 is none of the seven")
	}
}
