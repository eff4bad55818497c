"""What SPHINX-X computes: configuration, views, prompt, visual experts, projector and language model."""
