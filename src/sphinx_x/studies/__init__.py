"""Studies: many small runs, and what they say together (docs/scaling.md).

A study is a declaration (`declaration`): sizes of a member, amounts of data, arms that differ in a few fields of a
recipe, seeds, and what is measured. `plan` makes runs of it, `runner` trains and measures them one by one, and
`results` joins what they found. `report` draws figures and tables from that file alone, by `law` and `pairs`.
"""
