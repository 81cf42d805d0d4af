"""Templates of biology."""
