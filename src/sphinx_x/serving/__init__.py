"""SPHINX-X for other programs: its own server, and the plug-ins for other servers.

- `server`: starts it all; `settings` holds every setting with its default
- `api`, `requests`, `answers`: the routes, what they take and what they return (OpenAI's chat completions)
- `connections`, `guards`, `limits`, `bodies`: what stands before the routes: time, token, host, sizes, places
- `media`, `fetching`: where images may come from, and how they are fetched
- `preparing`, `inputs`: from a request to a prompt, and from its views to features
- `formats`: answers in JSON of a schema
- `engine`, `rows`, `sampling`, `text`: answers to many requests at once, step by step
- `pages`, `page/`: the web page, and what it needs besides the API
- `metrics`: what is counted and measured
- `plugins`: entry points of vLLM and lmms-eval, and the Transformers library's own command line
- `vllm_plugin`: the family in vLLM
"""

from sphinx_x.serving.plugins import lmms_manifest, register, register_in_vllm, transformers_cli

__all__ = ["lmms_manifest", "register", "register_in_vllm", "transformers_cli"]
