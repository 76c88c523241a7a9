"""Files to typed values: every error names file, line and field."""
