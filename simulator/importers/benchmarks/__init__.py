"""What benchmark programs print, read as measurements: a module for each program, and `programs.py`, which lists them."""
