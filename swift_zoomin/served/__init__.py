"""Models behind OpenAI-compatible addresses: a client that asks again where that helps, and keeps keys to itself.

No wing, but what the wings that ask such models share: `annotation` and `detection`. It imports neither.
"""
