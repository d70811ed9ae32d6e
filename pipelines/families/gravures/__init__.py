"""Which engraving is drawn here, and which lenses bear it?"""
