"""What strangers send: bodies, data URLs, queries, pictures and documents, checked."""
