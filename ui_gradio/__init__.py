"""The Gradio frontend. Importing it is cheap: gradio itself comes in with `frontend.load()`."""

from ui_gradio.frontend import GradioFrontend

__all__ = ["frontend"]

frontend = GradioFrontend()
