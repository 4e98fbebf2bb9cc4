"""Tools of every normaliser and format: times, addresses, lenient JSON, texts that fit."""
