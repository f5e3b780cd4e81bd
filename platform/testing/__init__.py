"""raylake.testing."""
