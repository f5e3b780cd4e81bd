"""raylake.monitor."""
