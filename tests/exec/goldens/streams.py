"""Streams of hashed numbers that initial weights and training data are drawn from (README.md, "Streams")."""

import math

import numpy as np

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
SEED_STEP = 0xD1B54A32D192ED03


def fnv1a(text):
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def splitmix64_mix(z):
    """The finaliser of splitmix64, over an array of uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashes(stream, seed, indices):
    """Number i of a stream, for an array of indices."""
    start = np.uint64((fnv1a(stream) + seed * SEED_STEP) & MASK)
    return splitmix64_mix(start + (np.asarray(indices, np.uint64) + np.uint64(1)) * np.uint64(GOLDEN))


def uniform(stream, seed, indices):
    """In [0, 1)."""
    return (hashes(stream, seed, indices) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def centred(stream, seed, indices):
    """Uniform of mean 0 and variance 1."""
    return math.sqrt(3.0) * (2.0 * uniform(stream, seed, indices) - 1.0)


def sequence(seed, row, length, vocab):
    """Tokens of sequence `row`: three of four follow from the one before."""
    h = [int(x) for x in hashes("tokens", seed, row * 2**20 + np.arange(length))]
    tokens = [h[0] % vocab]
    for p in range(1, length):
        drawn = (h[p] >> 32) % 4 == 0
        tokens.append(h[p] % vocab if drawn else (5 * tokens[-1] + 17) % vocab)
    return tokens
