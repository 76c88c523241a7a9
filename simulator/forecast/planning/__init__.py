"""What to do: machines, formats and splits that reach a goal, what they cost, and what a change of a machine buys."""
