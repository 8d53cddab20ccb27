"""Pure operations on images as arrays: uint8 (H, W, 3) pictures, bool (H, W) masks, 1 = defect.

Every module here imports numpy, scipy, scikit-image and Pillow at most: nothing of this package,
no torch. Functions draw no randomness of their own; where noise is wanted, a
``numpy.random.Generator`` is an argument.
"""
