"""raylake.demo."""
