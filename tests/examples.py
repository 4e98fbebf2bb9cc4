"""How many examples hypothesis draws where a test asks for a number of its own."""

from hypothesis import settings


def examples(most: int) -> int:
    """Return `most`, and under the profile `versions` no more than it has: a number of a test's own overrules a profile."""
    if settings.get_current_profile_name() == "versions":
        return min(most, settings.get_profile("versions").max_examples)
    return most
