"""Templates of physics."""
