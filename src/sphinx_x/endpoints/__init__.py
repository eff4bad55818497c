"""OpenAI-compatible endpoints: asked within a price cap, patiently, and no answer paid for twice."""
