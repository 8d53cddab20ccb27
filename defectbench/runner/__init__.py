"""A table's name comes in; its sources are found, its jobs run, its files written.

May use: every room but `single` and `cli`.
"""
