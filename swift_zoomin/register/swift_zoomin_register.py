"""What ms-swift imports for `--custom_register_path swift_zoomin`.

It is alone in its folder because ms-swift puts that folder first on sys.path.
"""

from swift_zoomin.plugin.registration import register

register()
