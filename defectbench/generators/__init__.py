"""One file per generator; the file name is the public name."""
