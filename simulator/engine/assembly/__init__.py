"""The tape of one decode step, put together block by block: a file for each kind of block, with the memory that it needs."""
