"""Language models whose tensors are not named as the library's; those with its names need no file here."""
