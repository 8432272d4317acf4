#!/usr/bin/env python3
"""The seven checksums of ThingsBoard's packages, written as ThingsBoard writes
them: lower-case hex, CRC-32 and both Murmurs with their least significant byte
first.

    checksum.py ALGORITHM FILE
"""

import hashlib
import struct
import sys
import zlib

M32 = 0xFFFFFFFF
M64 = 0xFFFFFFFFFFFFFFFF


def murmur3_32(data):
    """MurmurHash3 x86_32 with seed 0, as a number."""
    c1, c2, h = 0xCC9E2D51, 0x1B873593, 0
    body = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:body]):
        k = k * c1 & M32
        k = (k << 15 | k >> 17) & M32
        h ^= k * c2 & M32
        h = (h << 13 | h >> 19) & M32
        h = (h * 5 + 0xE6546B64) & M32
    tail = int.from_bytes(data[body:], "little")
    if tail:
        k = tail * c1 & M32
        k = (k << 15 | k >> 17) & M32
        h ^= k * c2 & M32
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & M32
    h = (h ^ h >> 13) * 0xC2B2AE35 & M32
    return h ^ h >> 16


def murmur3_128(data):
    """MurmurHash3 x64_128 with seed 0, as two numbers."""
    c1, c2, h1, h2 = 0x87C37B91114253D5, 0x4CF5AD432745937F, 0, 0

    def left(x, n):
        return (x << n | x >> 64 - n) & M64

    def mix(k):
        k = (k ^ k >> 33) * 0xFF51AFD7ED558CCD & M64
        k = (k ^ k >> 33) * 0xC4CEB9FE1A85EC53 & M64
        return k ^ k >> 33

    body = len(data) & ~15
    for k1, k2 in struct.iter_unpack("<QQ", data[:body]):
        h1 ^= left(k1 * c1 & M64, 31) * c2 & M64
        h1 = (left(h1, 27) + h2) * 5 + 0x52DCE729 & M64
        h2 ^= left(k2 * c2 & M64, 33) * c1 & M64
        h2 = (left(h2, 31) + h1) * 5 + 0x38495AB5 & M64
    tail = data[body:]
    k1, k2 = int.from_bytes(tail[:8], "little"), int.from_bytes(tail[8:], "little")
    h2 ^= left(k2 * c2 & M64, 33) * c1 & M64
    h1 ^= left(k1 * c1 & M64, 31) * c2 & M64
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = h1 + h2 & M64
    h2 = h2 + h1 & M64
    h1, h2 = mix(h1), mix(h2)
    h1 = h1 + h2 & M64
    return h1, h2 + h1 & M64


def checksum(algorithm, data):
    """The checksum of data as the server writes it."""
    if algorithm == "CRC32":
        return struct.pack("<I", zlib.crc32(data)).hex()
    if algorithm == "MURMUR3_32":
        return struct.pack("<I", murmur3_32(data)).hex()
    if algorithm == "MURMUR3_128":
        return struct.pack("<QQ", *murmur3_128(data)).hex()
    return hashlib.new(algorithm.lower(), data).hexdigest()


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as file:
        print(checksum(sys.argv[1], file.read()))
