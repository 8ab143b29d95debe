"""HTTP: every operation of the public interface, its OpenAPI document, and live updates."""

from talka_services.gateway.server import GatewayOptions, serving

__all__ = ["GatewayOptions", "serving"]
