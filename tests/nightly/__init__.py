"""What takes too long for every change: runs by hand and at night, each with a command of its own."""
