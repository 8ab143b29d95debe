"""What goes wrong on real processes: each scenario breaks one thing under load, heals it, and is judged."""
