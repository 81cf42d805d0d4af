"""Adapters for other frameworks; each needs its framework only when it is imported."""
