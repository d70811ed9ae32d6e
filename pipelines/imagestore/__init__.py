"""The image store in MongoDB: data sets of labelled pictures, configurations and weights."""
