"""The `raylake` command: thin calls of the Python API."""

from .app import app, main

__all__ = ["app", "main"]
