"""CHECKLIST 1 to 19: OpenID Connect, against a provider whose every answer is bent, one fault at a time.

Each refusal stands beside a sign-in that differs from it by nothing but the fault, and that gets in.
"""
