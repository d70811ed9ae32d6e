"""The endpoint of ocr."""
