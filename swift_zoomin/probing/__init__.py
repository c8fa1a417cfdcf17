"""The wing of `zoomin probe`: second looks at images with regions hidden, and what becomes of the verdict."""
