"""Where on a scanned page are handwritten signatures, and how many?"""
