"""The HTTP API, in OpenAI's shape: for programs that hold a token. Imports core alone."""
