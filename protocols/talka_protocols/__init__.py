"""What is said: the data types, messages, events, errors, ports and subjects of Talka."""
