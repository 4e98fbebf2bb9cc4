"""Splunk's HTTP Event Collector."""
