"""Dialogues without a picture, answered by the language model itself, so that what it knows is kept in training."""
