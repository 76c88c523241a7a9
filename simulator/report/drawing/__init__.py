"""Pictures as matplotlib draws them: charts and devices, in the common style, as files."""
