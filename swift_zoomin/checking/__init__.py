"""The wing of `zoomin check`: what records hold, what is probably not meant, and what gives their labels away."""
