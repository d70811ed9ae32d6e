"""What belongs to this room alone, and is no furniture."""
