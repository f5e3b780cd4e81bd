"""raylake.tune."""
