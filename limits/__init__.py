"""The limits lab: one scenario, a real Chromium, every frontend, one report. `python app.py limits` runs it."""
