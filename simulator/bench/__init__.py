"""How fast roofcast itself is, measured in interleaved pairs: `python -m simulator.bench forecast|decode|bandwidth`."""
