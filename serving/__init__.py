"""Endpoints: typed input -> the champion's Predictor -> typed output. What every endpoint has stands beside them."""
