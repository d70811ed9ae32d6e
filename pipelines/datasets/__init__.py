"""Data sets: archives and sources, labels and boxes, pictures, splits and data cards."""
