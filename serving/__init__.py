"""Endpoints: typed input -> the champion's Predictor -> typed output. The flat modules and packages are shared by all families."""
