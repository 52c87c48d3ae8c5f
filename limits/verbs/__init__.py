"""What a step of the scenario is made of: what a person does, and what must be so. `VERBS` has them by name.

A verb is given the Scene and its arguments. It raises Failed with a sentence for the report when what must be so is not. Its
docstring ends the sentence "It was not possible to ...", for when the browser waited in vain.
"""

from limits.verbs import answers, hands, sight, world
from limits.verbs.scene import VERBS, Failed, Scene

__all__ = ["VERBS", "Failed", "Scene", "answers", "hands", "sight", "world"]
