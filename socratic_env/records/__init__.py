"""What is written down, so that it survives a kill: journals, episodes, the folder of a run."""
