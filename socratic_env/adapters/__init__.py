"""Other people's frameworks, one file for each; a framework is needed only where its file is imported."""
