"""The server-rendered pages that are no frontend: home with the switcher, waiting, sign-in's pages, errors."""
