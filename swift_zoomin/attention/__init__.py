"""What in the image an answer was said from: heat maps of its words, by gradients (appendix B of the ZoomIn paper)."""
