"""What a model can be asked. Each Task names its typed inputs, parameters and output; frontends draw them by Kind."""

from core.tasks.base import Field, Task, Values
from core.tasks.chat import chat_task

__all__ = ["Field", "Task", "Values", "chat_task"]
