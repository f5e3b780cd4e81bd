"""raylake.data."""
