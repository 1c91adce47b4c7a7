"""Displays of records as text and HTML: pure Python, fed with records, never with the heap."""
