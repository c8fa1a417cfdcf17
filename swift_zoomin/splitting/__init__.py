"""A records file in parts for training, validation and test: the command `zoomin split`."""
