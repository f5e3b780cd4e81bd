"""Profiles: what a table version holds, from one distributed pass of mergeable summaries."""

from .profile import profile, profiles
from .records import ColumnProfile, Profile

__all__ = ["ColumnProfile", "Profile", "profile", "profiles"]
