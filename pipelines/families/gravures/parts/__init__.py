"""What only gravures needs: drawn symbols, alphabets, lenses, the index and what is added to it."""
