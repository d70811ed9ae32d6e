"""Which of ten things is on a small colour picture?"""
