"""What ms-swift imports for `--custom_register_path swift_zoomin.turn_credit`: all of swift_zoomin, and its trainer."""

from swift.trainers import TrainerFactory

import swift_zoomin.register.swift_zoomin_register  # noqa: F401

TrainerFactory.TRAINER_MAPPING["grpo"] = "swift_zoomin.plugin.turn_credit.TurnCreditTrainer"
