"""Tests that need a real Elasticsearch or OpenSearch (`make test-servers`)."""
