"""digits: which digit is on this picture?"""
