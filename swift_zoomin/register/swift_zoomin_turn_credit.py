"""What ms-swift imports for `--custom_register_path swift_zoomin.turn_credit`: all of swift_zoomin, and its trainer."""

from swift_zoomin.plugin.registration import register, register_turn_credit

register()
register_turn_credit()
