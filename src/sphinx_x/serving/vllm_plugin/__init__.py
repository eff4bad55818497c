"""SPHINX-X in vLLM: the same prompts, images, features and greedy answers as in this package.

- `registering`: what vLLM is told, in each of its processes
- `refusals`: what is refused by name when a model is loaded
- `model`: the model, of vLLM's own layers, with this package's visual experts
- `inputs`: from opened images to views and to the ids in place of a placeholder
- `member`: what a prompt needs to know of a model folder
- `renderer`: from a request's messages and images to a prompt
- `stops`: what ends an answer

Everything but `member` and a check of its version needs vLLM (the extra `vllm`).
"""
