"""Executors: what runs a task, one class per agent type, found through entry points."""
