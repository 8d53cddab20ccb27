"""Writes stand-ins: drawn images in the official layout of a dataset, with its official quirks.

One module per dataset; `writing` holds what they share. The adapters' `standin` methods call them.
"""
