"""How the tokens of benchmarks are routed to the experts of a sparse mixture, as in the paper's appendix (A.1).

- `routers`: the routers of a language model, and how the number of active experts is changed and experts are removed
- `watching`: hooks that count which experts the tokens of a batch go to
- `usage`: the counts of every question, kept in a file and summed by domain and by modality
- `analysis`: all passes over the benchmarks, and what comes out of them
- `tables`: the analysis as Markdown, as JSON and as a section of the report's page
- `plots`: the same as pictures

Watched is a model whose routers are whole on one process: any device, and quantised experts, but neither experts shared
among ranks (tensor or expert parallel, `model/moe.py`) nor packed rows, which both belong to training. Several
processes that share an evaluation (`torchrun`) each hold the whole model.
"""
