"""Which of several models answers: one more Field of every Task, so that frontends draw it as they draw any choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.tasks.base import Field, Task
from core.types import Kind, ModelInfo

MODEL = "model"


def with_models(task: Task, models: Sequence[ModelInfo]) -> Task:
    """`task` with a choice of `models`, of which there are several, the first being the default.

    An answer may be as long as the largest context allows; an engine holds it to its own model's.
    """
    names = tuple(model.name for model in models)
    most = max(model.context for model in models) - 1
    params = (replace(one, maximum=max(one.maximum, most)) if one.name == "max_tokens" else one for one in task.params)
    return replace(task, params=(Field(MODEL, Kind.CHOICE, "Model", default=names[0], choices=names), *params))
