"""Networks and losses of one generator each.

They may use `nn/` and one another's of the same generator. What a second generator wants goes to `nn/`. Files here are not
generators: names are looked for in `generators/*.py` alone.
"""
