"""Two Debian guests on parts of one disk: what they write stands in the image afterwards, also when the disk's driver is
restarted under them, and nothing else has changed."""

import hashlib
import os
import sys
import uuid

from boot import TREE, Boot, Check, Failed

sys.path.append(os.path.join(TREE, "tools", "lib"))

import gpt  # noqa: E402

KEY = r"\x1d"  # Ctrl-]
MIB = 1 << 20
SIZE = 96 * MIB
WRITTEN = 4 * MIB
PART, SHARED = 32 * MIB, 16 * MIB  # sizes: a's and b's part lie one behind the other, then the range that both read
EDGE = 4096  # bytes at the end of a's part, which it writes too

# What a round writes is read back past the page cache, and compared as its sum.
ROUND = (r"dd if=/dev/urandom of=/tmp/p bs=64k count=64 2>/dev/null; dd if=/tmp/p of=/dev/vda bs=64k oflag=direct conv=fsync "
         r"2>/dev/null || echo bad-write; a=$(sha256sum </tmp/p); b=$(dd if=/dev/vda bs=64k count=64 iflag=direct 2>/dev/null | "
         r"sha256sum); [ \"$a\" = \"$b\" ] || echo bad-sum")

# The last block, and one beyond; a range that is read-only.
EDGES = (r"dd if=/tmp/p of=/dev/vda bs=4k seek=8191 count=1 oflag=direct 2>/dev/null && echo edge-$((6*7)); "
         r"dd if=/tmp/p of=/dev/vda bs=4k seek=8192 count=1 oflag=direct 2>/dev/null || echo beyond-$((6*7)); "
         r"dd if=/tmp/p of=/dev/vdb bs=4k count=1 oflag=direct 2>/dev/null || echo ro-$((6*7)); "
         r"dd if=/dev/vdb bs=64k iflag=direct 2>/dev/null | sha256sum; ")

RESTARTS = 4
WRONG = r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|^\[linux-.\] bad-"
STEPS = [
    (r"(?s)\[linux-a\] / # .*\[linux-b\] / # |\[linux-b\] / # .*\[linux-a\] / # ",
     ROUND + r"; echo end-$((40+0))\n"),
    (r"end-40", EDGES + r"echo end-$((40+1))\n"),
    (r"end-41", KEY + "2"),
    (r"typing goes to linux-b", r"(n=0; while [ ! -e /tmp/stop ]; do " + ROUND + r"; n=$((n+1)); done; echo rounds-$n; "
                                r"echo sum-${a%% *}) & echo end-$((40+2))\n"),
    (r"end-42", KEY + "o"),
    (r"operator's prompt", r"restart disk\n"),
    *[(r"(?s)disk is restarted by the operator.*for linux-b:", r"restart disk\n")] * (RESTARTS - 1),
    (r"(?s)disk is restarted by the operator.*for linux-b:", KEY + "2"),
    (r"typing goes to linux-b", r"touch /tmp/stop; wait; echo errors-$(dmesg | grep -ciE 'i/o error|blk_update|timeout'); "
                                r"echo end-$((40+3))\n"),
    (r"end-43", KEY + "1"),
    (r"typing goes to linux-a", ROUND + r"; sync; echo sum-${a%% *}; poweroff\n"),
    (r"linux-a: its guest switched itself off", KEY + "2"),
    (r"typing goes to linux-b", r"sync; poweroff\n"),
]

# One guest, whose disk's driver is restarted once.
ONE_STEPS = [
    (r"\[linux-a\] / # ", ROUND + r"; echo end-$((40+0))\n"),
    (r"end-40", KEY + "o"),
    (r"operator's prompt", r"restart disk\n"),
    (r"(?s)disk is restarted by the operator.*for linux-a:", KEY + "1"),
    (r"typing goes to linux-a", ROUND + r"; sync; echo errors-$(dmesg | grep -ciE 'i/o error|blk_update|timeout'); "
                                r"echo sum-${a%% *}; poweroff\n"),
]


def pattern(mebibyte):
    """What stands in each sector before: its number in the disk."""
    first = mebibyte * MIB // 512
    return b"".join((first + sector).to_bytes(8, "little") * 64 for sector in range(MIB // 512))


def make(path):
    with open(path, "wb") as out:
        for mebibyte in range(SIZE // MIB):
            out.write(pattern(mebibyte))


def make_parted(path):
    """With a GUID partition table; the firmware would mend a copy that is damaged."""
    make(path)
    sectors, table, parts = SIZE // 512, b"", ((b"\x0a", "guest-a", MIB), (b"\x0b", "guest-b", MIB + PART))
    for mark, name, start in parts:
        guid = uuid.UUID(bytes_le=mark * 6 + b"\x0b\x4b\x8b" + mark * 7)
        table += uuid.UUID(int=1).bytes_le + guid.bytes_le
        table += (start // 512).to_bytes(8, "little") + ((start + PART) // 512 - 1).to_bytes(8, "little") + bytes(8)
        table += name.encode("utf-16-le").ljust(72, b"\0")
    table = table.ljust(gpt.ENTRIES * gpt.ENTRY_SIZE, b"\0")
    end = sectors - 1
    with open(path, "r+b") as image:
        image.write(gpt.protective_record(sectors) + gpt.header(sectors, 1, end, 2, uuid.UUID(int=2), table) + table)
        image.seek((end - gpt.TABLE_SECTORS) * 512)
        image.write(table + gpt.header(sectors, end, 1, end - gpt.TABLE_SECTORS, uuid.UUID(int=2), table))


def contents(make_image, first, guests=2):
    """A check that the image has what the guests wrote last, in their parts from `first` on, and is as it was else."""
    parts = [(guest, first + number * PART) for number, guest in enumerate(("linux-a", "linux-b")[:guests])]

    def check(log):
        path = log.disks[0] + ".before"
        make_image(path)
        with open(log.disks[0], "rb") as disk, open(path, "rb") as before:
            for at in range(0, SIZE, MIB):
                data, wanted = disk.read(MIB), before.read(MIB)
                if first <= at < first + guests * PART and (at - first) % PART < WRITTEN:
                    continue
                if at + MIB == first + PART:
                    data, wanted = data[:-EDGE], wanted[:-EDGE]
                if data != wanted:
                    raise Failed(f"the image differs in the MiB at {at:#x}")
            for guest, start in parts:
                disk.seek(start)
                said = log.all(rf"^\[{guest}\] sum-([0-9a-f]{{64}})$")
                if not said or said[-1] != hashlib.sha256(disk.read(WRITTEN)).hexdigest():
                    raise Failed(f"the image has not what {guest} wrote last")
        os.unlink(path)
    return check


def shared(first):
    """What a guest read of the range that both read."""
    whole = b"".join(pattern((first + 2 * PART + at) // MIB) for at in range(0, SHARED, MIB))
    return rf"^\[linux-a\] {hashlib.sha256(whole).hexdigest()}  -$"


def checks(make_image, first):
    a, b = r"^\[linux-a\] ", r"^\[linux-b\] "
    return [
        Check("disk", a + r".*virtio_blk .* \[vda\] 65536 512-byte", a + "end-40$", a + "edge-42$", a + "beyond-42$", a + "ro-42$"),
        Check("shared", shared(first)),
        Check("restarts", *[r"disk is restarted by the operator"] * RESTARTS, b + r"rounds-[1-9]", b + "errors-0$", b + "end-43$"),
        Check("image", call=contents(make_image, first)),
        Check("well", lacks=WRONG),
    ]


BOOTS = [
    Boot("disk-virtio-qemu-svm", "guests/systems/disk.dts", checks(make, 0), steps=STEPS, timeout=240, disks=[("virtio", make)]),
    Boot("disk-nvme-qemu-svm", "disk-nvme.dts",
         [Check("table", r"disk-a: 32768 KiB from 1024 KiB on, for linux-a", r"disk-b: 32768 KiB from 33792 KiB on, for linux-b"),
          Check("zero-copy", *[r"linux-b: zero-copy: it reaches the guest's \d+ KiB of memory"] * (RESTARTS + 1),
                r"disk is started anew, for its device may reach the memory of linux-b", lacks=r"data are copied"),
          *checks(make_parted, MIB)],
         steps=STEPS, timeout=240, disks=[("nvme", make_parted)]),
    Boot("disk-ahci-qemu-svm", "disk-ahci.dts", [Check("queue", r"port 0, 32 commands at once"), *checks(make, 0)], steps=STEPS,
         timeout=240, disks=[("ahci", make)]),
    Boot("disk-usb-qemu-svm", "disk-usb.dts", [Check("stick", r"port 1: a disk of 196608 blocks of 512"), *checks(make, 0)],
         steps=STEPS, timeout=240, disks=[("usb", make)]),
    Boot("disk-ata-qemu-svm", "guests/systems/disk-ata.dts",
         [Check("restart", r"^\[linux-a\] end-40$", r"disk is restarted by the operator", r"^\[linux-a\] errors-0$"),
          Check("image", call=contents(make, 0, guests=1)), Check("well", lacks=WRONG)],
         steps=ONE_STEPS, timeout=150, disks=[("ata", make)]),
]
