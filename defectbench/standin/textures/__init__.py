"""Textures that tables draw, and what all drawings share: noise and scenes.

In: a shape and random numbers. Out: pictures, float32 in [0, 255]. May use: nothing of this package.
"""
