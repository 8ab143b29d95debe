"""OTLP over HTTP: where a collector takes what, and the metrics as it takes them."""
