"""The image store in MongoDB: data sets of labelled images, configurations and weights."""
