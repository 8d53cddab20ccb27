"""Masks from images and images from masks."""
