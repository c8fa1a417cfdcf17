"""Memory that a run gives back. Asked of the C library itself, in a process of its own."""

import subprocess
import sys

import pytest

CODE = """
import ctypes
from swift_zoomin.detection.large_blocks import give_large_blocks_back

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Mallinfo
if {is_called}:
    give_large_blocks_back()
for _ in range(2):
    before = library.mallinfo2().hblkhd
    block = bytearray(900_000)
    from_system = library.mallinfo2().hblkhd - before
    del block
print(from_system)
"""


@pytest.mark.parametrize(("is_called", "second_block_is_the_systems"), [(True, True), (False, False)])
def test_a_large_block_comes_from_the_system_each_time(is_called: bool, second_block_is_the_systems: bool) -> None:
    code = CODE.replace("{is_called}", str(is_called))
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert (int(printed) >= 900_000) == second_block_is_the_systems
