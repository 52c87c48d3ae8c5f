"""Who is asking: the guard around everything, sessions, and the ways to sign in. Imports nothing else of ours."""
