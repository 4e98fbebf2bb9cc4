"""The chart: rendered by the real helm, held against the schemas of Kubernetes, and run in the image as a pod would."""
