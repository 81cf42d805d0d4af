"""Samplers of the student behind one interface."""
