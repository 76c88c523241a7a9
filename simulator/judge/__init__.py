"""Forecasts beside measurements: our own and other people's."""
