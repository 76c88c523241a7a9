"""Charts in a terminal: lines of braille dots, bars of blocks, and where neither can be shown a table."""
