"""Fetches and unpacks published archives.

May use: the ground.
"""
