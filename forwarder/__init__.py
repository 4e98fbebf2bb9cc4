"""Carries Atlassian audit logs into a SIEM, completely and checkably.

The way of an event::

    APScheduler bell -> poller(source) --GET page--> raw events + next cursor
                           |  one transaction: page, seen ids, cursor (compare-and-swap), fsync
                           v
                        spool (SQLite, WAL)
             +-------------+--------------+
          lane elastic   lane archive    ...        each: own position, window, back-off, client
             | read -> meaning -> filter -> format -> sink.send(batch)
             + settle: accepted -> position, rejected -> dead letter, kept -> sent again, pending -> confirmed later
"""

__version__ = "0.1.0"
