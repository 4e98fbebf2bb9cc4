"""Structured data of RFC 5424."""
