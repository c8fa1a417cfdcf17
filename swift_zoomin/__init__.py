"""ZoomIn for ms-swift: look at an image twice before calling it real or AI-generated.

A thin plugin. It teaches ms-swift one new kind of conversation (scan the whole image, name suspicious regions, look
again at crops of them) and leaves training, generation and logging to ms-swift. Importing this package registers
nothing and imports nothing heavy; ms-swift registers it when told `--custom_register_path swift_zoomin`.
"""

__version__ = "0.1.0"
