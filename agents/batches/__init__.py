"""The batch of a step: which questions it asks, how it is played, and what of it is learnt from."""
