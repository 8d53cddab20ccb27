"""One adapter per dataset: a published layout in, a manifest out.

May use: `data`. Knows nothing of stand-ins.
"""
