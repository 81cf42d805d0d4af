"""Evaluation: statistics with intervals, the runner and its folder, comparisons of variants, pages."""
