"""How much is kept of what could not be stored."""

from __future__ import annotations

from forwarder.contracts import Page
from forwarder.receiving.kept import BESIDE, MOST_KEPT, Kept


def page_of(*bodies: bytes, name: bytes = b"") -> Page:
    return Page(bodies=list(bodies), keys=[name or body for body in bodies], digests=list(bodies), minutes=[], next={})


def all_of(kept: Kept) -> list[bytes]:
    found = []
    while (page := kept.first) is not None:
        found += page.bodies
        kept.remove(page)
    return found


def test_many_small_ones_take_no_more_memory_than_a_few_large_ones():
    kept = Kept()
    most = MOST_KEPT // (BESIDE + 20)
    for number in range(most + 1000):
        kept.add(page_of(b"%020d" % number))
    assert len(kept) == most
    assert all_of(kept)[-1] == b"%020d" % (most + 999), "the newest"
    for number in range(200):
        kept.add(page_of(*(b"%d %d" % (number, each) for each in range(1000))))
    assert len(kept) <= MOST_KEPT // (1000 * BESIDE)


def test_each_is_kept_once_and_the_newest_however_large_it_is():
    kept = Kept()
    for _ in range(3):
        kept.add(page_of(b"a"))
    kept.add(page_of(b"b", name=b"a"))
    assert len(kept) == 2, "another version is another one"
    kept.add(page_of(b"x" * MOST_KEPT))
    assert len(kept) == 1
    kept.remove(page_of(b"x" * MOST_KEPT))
    assert len(kept) == 1, "only the same one"
    assert len(all_of(kept)) == 1
    kept.add(page_of(b"a"))
    kept.add(page_of(b"b"))
    assert all_of(kept) == [b"a", b"b"], "what went takes no room"
