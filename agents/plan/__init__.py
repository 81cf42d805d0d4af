"""What a run needs of a machine, by arithmetic: memory, time, and whether it fits."""
