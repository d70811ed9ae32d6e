"""Model folders: manifest, checksums, signature, golden example and exported graphs."""
