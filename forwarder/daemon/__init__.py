"""The process: what keeps running, and in which order it begins and ends."""
