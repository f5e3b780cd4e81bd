"""Names for runs that come without one."""

from __future__ import annotations

import random

_HOW = (
    *("able", "bold", "bright", "calm", "clean", "clever", "cool", "crisp", "deep", "eager", "fair", "fast", "fine"),
    *(
        "gentle",
        "glad",
        "grand",
        "happy",
        "keen",
        "kind",
        "light",
        "lively",
        "lucky",
        "merry",
        "mild",
        "neat",
        "nimble",
    ),
    *("proud", "quick", "quiet", "rare", "sharp", "shiny", "silent", "smooth", "swift", "tidy", "warm", "wise"),
)
_WHAT = (
    *("asp", "bass", "bear", "bee", "boar", "carp", "colt", "crab", "crane", "crow", "deer", "dove", "duck", "eel"),
    *("elk", "finch", "fox", "frog", "gnu", "goat", "grouse", "gull", "hare", "hawk", "hen", "heron", "ibis", "jay"),
    *("lark", "lynx", "mink", "mole", "moose", "moth", "newt", "owl", "perch", "pike", "quail", "ray", "robin", "seal"),
    *("shrew", "skink", "snail", "stork", "swan", "tern", "toad", "trout", "vole", "wasp", "whale", "wolf", "wren"),
)


def random_name() -> str:
    """Such as ``swift-heron-417``.

    Example:
        >>> len(random_name().split("-"))
        3
    """
    return f"{random.choice(_HOW)}-{random.choice(_WHAT)}-{random.randrange(1000)}"
