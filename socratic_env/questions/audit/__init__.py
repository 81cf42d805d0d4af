"""The parts of the audit: damage, duplicates, blind rules, and truths that can be recomputed."""
