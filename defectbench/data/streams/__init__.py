"""The image cache in, batches and training sets out.

May use: `data.cache`.
"""
