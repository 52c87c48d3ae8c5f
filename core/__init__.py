"""Inference and everything it needs, with nothing of the web: the same package serves a test, a notebook and every frontend."""
