"""A split manifest in, memory-mapped images and masks at training size out.

May use: `data.manifest`, `data.files`.
"""
