"""The kernels of a decode step: each takes the address of its task, and does its share of it as one thread of a team.

A task is an array of int64: addresses, shapes in elements, strides in bytes; each kind's fields stand above its kernels. Rows
are tokens of the batch; where a router has grouped them by expert, a table of groups says which rows meet which matrix. Buffers
belong to the network; nothing is allocated here. What several kernels compute stands in modules of its own: the products of
panels and of tiles, which are written in LLVM's code, lists of active inputs, and arithmetic.
"""
