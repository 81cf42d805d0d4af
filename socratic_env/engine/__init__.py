"""The engine of an interaction: the rules carried on with a teacher, sessions of episodes, the event loop."""
