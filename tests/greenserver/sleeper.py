"""A program that does nothing until it is ended."""

import signal
import sys

sys.stdout.write("asleep\n")
sys.stdout.flush()
signal.pause()
