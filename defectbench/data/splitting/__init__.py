"""A manifest in, the same manifest with splits out.

May use: `data.manifest`, `data.files`.
"""
