"""Probes: what this machine can do, measured on it."""
