"""Fits what runtimes' kernels reach to published measurements: `python -m simulator.calibration`."""
