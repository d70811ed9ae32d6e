"""Many inputs answered without a server: `make batch family=signatures from=archive.tar to=answers`."""
