"""raylake.train."""
