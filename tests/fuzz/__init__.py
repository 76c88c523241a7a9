"""Inputs made to break the command: good files, what goes wrong with them, and the child process that tries them."""
