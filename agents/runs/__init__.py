"""A run: its parts, its folder, checkpoints, resuming, evaluation while training, presets."""
