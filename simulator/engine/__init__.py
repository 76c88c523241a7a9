"""The engine: decodes real tokens, dense and Mixture-of-Experts, at the speed of memory."""

from simulator.engine.step import Engine, Read, Step

__all__ = ["Engine", "Read", "Step"]
