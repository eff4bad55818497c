"""What SPHINX-Nano learns from."""
