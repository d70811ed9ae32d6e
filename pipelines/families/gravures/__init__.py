"""Which lens bears the engraving that looks like this drawing?"""
