"""A league table of ways to carry TCP between two networks: side by side, in one run, on one machine."""
