"""From a `TableSpec` to jobs (ids, parents, payloads) and the cells that they fill.

May use: `spec` and the rooms below it. Imports no torch.
"""
