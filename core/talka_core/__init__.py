"""What is decided: pure behaviours and algorithms, without clock, ids, randomness or I/O."""
