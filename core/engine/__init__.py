"""Running models: the Engine and Runner protocols, the pure scheduler, the runners that compute, and the local engine of both."""

from core.engine.base import Engine, Request, Runner
from core.engine.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "Request", "Runner"]
