"""A faithful Atlassian audit-log API and strict receivers, for demos, rehearsals and tests.

Nothing here imports the engine, so that a mistake in the engine cannot hide itself.
"""
