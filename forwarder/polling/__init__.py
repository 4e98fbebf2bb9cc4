"""Follows sources: what to ask next, how far each walk came, and the hand-off of pages to the spool."""
