"""The host's kernel and programs, one facility per file: read, changed, remembered. Knows no policy."""
