"""What is done: the actor runner, the JetStream adapters, the services and the command line."""
