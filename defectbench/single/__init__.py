"""One generator or one folder of images outside a table: what may be requested, generating, scoring, checking.

May use: every room but `runner` and `cli`.
"""
