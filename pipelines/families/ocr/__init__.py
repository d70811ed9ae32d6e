"""What does this line of text say?"""
