"""Defects that tables draw, and what all defects share: the canvas with its exact mask, shapes and marks.

In: a canvas and random numbers. Out: the canvas, painted. May use: `textures`.
"""
