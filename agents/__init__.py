"""The reference agent: trains a student in the environments of `socratic_env`. From a checkout."""
