"""The ports over NATS JetStream: one adapter a module, over one shared connection."""
