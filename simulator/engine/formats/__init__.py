"""How each format's blocks are interleaved, and how a block of 16 rows is multiplied: a file for each family of formats."""
