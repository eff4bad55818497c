"""Training: trainer, engine (a step), objective, optimizer, ranks, saved states, metrics, adapters."""
