"""Files, processes and runs that may be stopped at any moment."""
