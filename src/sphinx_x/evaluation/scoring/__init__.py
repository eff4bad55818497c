"""How an answer is scored: each metric as its benchmark defines it, from 0 to 1 an item.

Where the released script of a benchmark differs from its written definition, both are here, by the name of the rule.
"""
