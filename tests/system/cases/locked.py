"""VT-x locked off by the firmware: the kernel says so, drivers run, and guests are refused by name."""

import os

from boot import TREE, Boot, Check

FILES = [
    "--loader", os.path.join(TREE, "build/tests/locked.efi"),
    "--extra", os.path.join(TREE, "build/boot/bootx64.efi") + "=EFI/BOOT/LOADER.EFI",
]

BOOTS = [
    Boot("locked-bochs-vmx", "small.dts", [
        Check("kernel", r"^locked: VT-x is off now", r"kernel\] no guests on this machine: VT-x is locked off"),
        Check("guest-refused", r"root\] here: VM: "),
        Check("drivers-run", r"root\] uart: 16550 at port 0x3f8", r"^bulkhead> "),
    ], platform="bochs-vmx", cpus=1, options=FILES, timeout=200,
         steps=[(r"uart: 16550", r"\x1do"), (r"bulkhead> ", r"poweroff\n"), ("operator powers", "")]),
]
