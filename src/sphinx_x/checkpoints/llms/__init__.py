"""Language models: their names as ours, which are the library's; what has those already needs no file here."""
