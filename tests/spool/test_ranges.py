"""Ranges against sets of numbers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from forwarder.spool import ranges

spans = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda at: (at[0], at[0] + at[1])), max_size=12)


def numbers(found):
    return {seq for first, last in found for seq in range(first, last + 1)}


@given(spans)
def test_merge_is_the_union_in_normal_form(found):
    merged = ranges.merge(found)
    assert numbers(merged) == numbers(found)
    assert merged == sorted(merged)
    assert all(right[0] > left[1] + 1 for left, right in pairwise(merged))
    assert ranges.count(merged) == len(numbers(found))


@given(spans, st.integers(1, 60), st.integers(0, 20))
def test_inside_and_outside_part_a_stretch(found, first, length):
    merged = ranges.merge(found)
    whole = set(range(first, first + length + 1))
    assert numbers(ranges.inside(first, first + length, merged)) == whole & numbers(found)
    assert numbers(ranges.outside(first, first + length, merged)) == whole - numbers(found)
