"""What a model can be asked. Each Task names its typed inputs, parameters and output; frontends draw them by Kind."""

from collections.abc import Callable

from core.tasks.base import Field, Task, Turn, Values, sampling_params, text_of
from core.tasks.chat import chat_task, sampling_fields
from core.types import SamplingParams

# By the name that `--task` takes. Each makes its Task from a model's sampling defaults, its context in tokens, and examples.
TASKS: dict[str, Callable[[SamplingParams, int, tuple[str, ...]], Task]] = {"chat": chat_task}

__all__ = ["TASKS", "Field", "Task", "Turn", "Values", "chat_task", "sampling_fields", "sampling_params", "text_of"]
