"""Kernels of other kinds than Debian's for x86-64: a 32-bit one, and a Multiboot one with modules."""

import os

from boot import TREE, Boot, Check, Failed

FNV_BASIS, FNV_PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
LONG = 1200
MODULES = [("a.cpio", "build/guests/a.cpio"),
           ("multiboot.dts a module's own words", "guests/systems/multiboot.dts")]

DISK = (r"dd if=/dev/urandom of=/tmp/p bs=64k count=16 2>/dev/null; dd if=/tmp/p of=/dev/vda bs=64k oflag=direct 2>/dev/null; "
        r"dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | cmp - /tmp/p && echo same-$((6*7)); echo end-$((40+2))\n")


def modules(log):
    """The guest has seen each module as the file is, by its FNV-1a sum."""
    for number, (text, path) in enumerate(MODULES):
        with open(os.path.join(TREE, path), "rb") as file:
            data = file.read()
        value = FNV_BASIS
        for byte in data:
            value = (value ^ byte) * FNV_PRIME & MASK
        line = f'multiboot: module {number}: "{text}", {len(data)} bytes, sum {value:016x}\n'
        if f"[multiboot] {line}" not in log.text:
            raise Failed(f"{line.strip()!r} is not in the log")


def i386(platform, timeout, **options):
    return Boot(f"i386-{platform}", "guests/systems/i386.dts", [
        Check("hello", r"^\[linux\] Hello from guest i386: Linux .*-686-pae, 2 CPU\(s\)"),
        Check("machine", r"^\[linux\] i686$"),
        Check("compute", r"^\[linux\] +2 [0-9a-f]{64} +/bin/busybox$"),
        Check("disk", r"^\[linux\] same-42$"),
        Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|soft lockup"),
    ], platform=platform, timeout=timeout, steps=[
        (r"/ # ", r"uname -m; for i in 0 1; do taskset $((1 << i)) sha256sum /bin/busybox & done | sort | uniq -c; "
                  r"echo end-$((40+1))\n"),
        (r"end-41", DISK),
        (r"end-42", r"poweroff\n"),
    ], **options)


BOOTS = [
    i386("qemu-svm", 180),
    i386("bochs-vmx", LONG, by_hand=True),
    i386("bochs-svm", LONG, by_hand=True),
    Boot("multiboot-qemu-svm", "guests/systems/multiboot.dts", [
        Check("command-line", r"^\[multiboot\] multiboot: loaded by Bulkhead as: multiboot\.elf answer=42$"),
        # 32 MiB, less the 384 KiB below 1 MiB that are no RAM
        Check("memory", r"^\[multiboot\] multiboot: memory: 640 KiB and 31744 KiB; 32384 KiB by the map$"),
        Check("modules", call=modules),
        Check("off", r"multiboot: its guest switched itself off"),
    ], cpus=1, timeout=60),
]
