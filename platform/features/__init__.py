"""raylake.features."""
