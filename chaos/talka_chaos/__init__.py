"""What goes wrong: a modelled broker, faults drawn from a seed, and the checkers that judge a run."""
