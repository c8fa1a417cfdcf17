"""Other layouts to records."""
