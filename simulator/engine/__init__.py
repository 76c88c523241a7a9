"""The engine: decodes real tokens, dense and Mixture-of-Experts, at the speed of memory."""
