"""Networks that turn images into features, their weights, and the store of computed features.

May use: `metrics`, `nn`.
"""
