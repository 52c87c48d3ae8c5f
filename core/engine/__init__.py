"""Running models: the Engine protocol, the pure scheduler, the runner that computes, and the local engine of the two."""

from core.engine.base import Engine, Request
from core.engine.local import LocalEngine
from core.engine.runner import Runner

__all__ = ["Engine", "LocalEngine", "Request", "Runner"]
