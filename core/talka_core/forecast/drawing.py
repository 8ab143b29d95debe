"""Numbers as good as random that are the same for the same question: SplitMix64 (Steele et al. 2014)."""

from __future__ import annotations

from zlib import crc32

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def share(seed: int, name: str, number: int) -> float:
    """Return a number over 0 and under 1, evenly spread over names and numbers."""
    mixed = _mixed(_mixed(seed ^ (crc32(name.encode()) << 32)) + number * _STEP)
    return ((mixed >> 11) + 0.5) / (1 << 53)


def _mixed(value: int) -> int:
    mixed = (value + _STEP) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)
