"""Sweeps that outgrow one process: products of models, devices and settings, in files that a killed run leaves whole."""
