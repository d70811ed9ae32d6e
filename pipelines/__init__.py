"""Atelier's pipelines: stages (verbs), families (rooms) and the services between them."""
