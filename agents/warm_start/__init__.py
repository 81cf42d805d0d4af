"""Students that are made here: a tiny one, a packaged one, and their supervised warm start."""
