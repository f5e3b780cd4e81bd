"""raylake.serve."""
