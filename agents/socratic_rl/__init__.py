"""Socratic-RL (the second paper) on the reference agent: viewpoints, utility, distillation."""
