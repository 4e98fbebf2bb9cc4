"""Every question, by the word of its command."""

from __future__ import annotations

from forwarder.investigate.questions import content, day, traces, user

SHAPES = {
    shape.kind: shape
    for shape in (user.SHAPE, content.SHAPE, traces.IP, traces.TOKEN, traces.GROUP, traces.APP, day.SHAPE)
}
