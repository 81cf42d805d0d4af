"""Templates of chemistry."""
