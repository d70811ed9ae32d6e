"""Modules of ocr that no other family has."""
