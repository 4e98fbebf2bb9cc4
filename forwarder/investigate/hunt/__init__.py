"""Detections over what is kept: rules of Sigma, made into SQL when the package is made."""
