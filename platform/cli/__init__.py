"""raylake.cli."""
