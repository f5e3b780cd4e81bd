"""One router per layer."""
