"""Templates of material."""
