"""Files in, arrays and tables of files out: listing, decoding, masks, hashes, groups.

May use: `data.manifest`.
"""
