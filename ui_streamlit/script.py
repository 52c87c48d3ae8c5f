"""What Streamlit executes at every touch of the page; the page itself is a module, imported once."""

from ui_streamlit.page import main

main()
