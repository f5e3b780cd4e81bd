"""raylake.registry."""
