"""digits: which digit is on this image?"""
