"""Tasks drawn with Streamlit. Importing this package is cheap; the library comes with `frontend.load()`."""

from ui_streamlit.frontend import StreamlitFrontend

frontend = StreamlitFrontend()
