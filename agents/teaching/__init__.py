"""A teacher that learns to teach: a model writes viewpoints, and is rewarded with what they are worth."""
