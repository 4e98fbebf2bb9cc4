"""Everything that can be known to fail, or to be worth a look, before anything is opened or asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from forwarder.config.references import unreadable_files
from forwarder.preflight.addresses import odd_addresses, odd_times, times_to_come
from forwarder.preflight.filter_rules import FilterCheck
from forwarder.preflight.foreign_keys import keys_twice, odd_keys
from forwarder.preflight.one_file import odd_files, one_file_twice
from forwarder.preflight.permissions import loose_permissions, open_to_others, unusable_spool
from forwarder.preflight.placeholders import example_hosts, placeholders_in, unfilled_texts
from forwarder.preflight.places import more_than_there_is, places_that_cannot_be
from forwarder.preflight.receiver import short_secrets
from forwarder.preflight.routes import odd_fields, odd_places, unrouted_places
from forwarder.preflight.sites import example_sites, expiring, odd_sites
from forwarder.preflight.spool_changes import SpoolChanges
from forwarder.preflight.targets import same_logs

if TYPE_CHECKING:
    from forwarder.config.problems import Problem
    from forwarder.config.settings import Settings


def certain_to_fail(settings: Settings) -> list[Problem]:
    """Return what cannot work: files, secrets, placeholders, filters, own records, what does not fit the spool."""
    return [
        *unreadable_files(settings),
        *placeholders_in(settings),
        *example_sites(settings),
        *FilterCheck(settings).problems(),
        *odd_places(settings),
        *odd_fields(settings),
        *_odd_records(settings),
        *one_file_twice(settings),
        *same_logs(settings),
        *SpoolChanges(settings).problems,
        *open_to_others(settings),
        *short_secrets(settings),
        *times_to_come(settings),
    ]


def unusable_here(settings: Settings) -> list[Problem]:
    """Return what cannot work on this machine as it is now: `run` finds it out itself, with an exit code of its own."""
    return [*places_that_cannot_be(settings), *unusable_spool(settings)]


def worth_a_look(settings: Settings) -> list[Problem]:
    """Return what works, and is probably not meant."""
    return [
        *example_hosts(settings),
        *unfilled_texts(settings),
        *odd_keys(settings),
        *keys_twice(settings),
        *odd_addresses(settings),
        *odd_sites(settings),
        *expiring(settings),
        *odd_times(settings),
        *more_than_there_is(settings),
        *FilterCheck(settings).worth_a_look(),
        *unrouted_places(settings),
        *SpoolChanges(settings).looks,
        *odd_files(settings),
        *loose_permissions(settings, os.geteuid()),
    ]


def _odd_records(settings: Settings) -> list[Problem]:
    if not settings.catalogue.files:
        return []
    from forwarder.catalogue.own import check_files  # noqa: PLC0415 -- few have records of their own

    return check_files(settings.catalogue.files)


def of_part(problems: list[Problem], part: str) -> list[Problem]:
    """Return the problems of one source or sink, such as `sinks.splunk`."""
    return [each for each in problems if each.path == part or each.path.startswith(f"{part}.")]
