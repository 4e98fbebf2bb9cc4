"""A real Elasticsearch and a real OpenSearch, installed and started by the project itself.

``python -m tests.servers start|stop|status`` is the command; `fixtures` are the pytest fixtures. Everything lands in a
cache folder outside the repository. The distributions are the cut-down ones their makers publish for integration
tests, so what is missing here (ILM, ISM, the failure store, Kibana) says nothing about a full server.
"""
