"""Pages and pictures that a person can look at, file and doubt, made of predictions and their images."""
