"""Images with damaged or missing files: each is refused by name, by whoever reads it, with what to do about it."""

import struct

from boot import Boot, Check

BACK = r"loader: Back to the firmware with any key, or in \d+ seconds"
KEYS = "x" * 40  # for some time: the loader first forgets what was typed before
ABI = b"Bulkhead\0\0\0\0"  # the note's name; the version follows
SEGMENT = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
INVALID = b"\x0f\x0b"  # UD2


def other_abi(volume):
    kernel = volume.read("kernel.elf")
    volume.patch("kernel.elf", kernel.index(ABI) + len(ABI), struct.pack("<I", 99))


def other_schema(volume):
    tree = volume.read("system.dtb")
    volume.patch("system.dtb", tree.index(b"system-v1"), b"system-v9")


def broken_tree(volume):
    """A header that is right, and nothing else."""
    tree = volume.read("system.dtb")
    volume.write("system.dtb", tree[:72] + b"\xa5" * (len(tree) - 72))


def crashing_root(volume):
    """Puts an invalid instruction at root's entry."""
    root = volume.read("root.elf")
    entry, headers = struct.unpack_from("<QQ", root, 24)
    for i in range(struct.unpack_from("<H", root, 56)[0]):
        kind, _, offset, address, _, size, _, _ = SEGMENT.unpack_from(root, headers + i * SEGMENT.size)
        if kind == 1 and address <= entry < address + size:
            volume.patch("root.elf", offset + entry - address, INVALID)


def bad_segment(volume):
    """The first segment of root's program reaches past the end of the file."""
    headers, = struct.unpack_from("<Q", volume.read("root.elf"), 32)
    volume.patch("root.elf", headers + 32, struct.pack("<QQ", 1 << 30, 1 << 30))


def loader_refuses(name, edit, message, advice="Make the image anew"):
    """The loader says why and what to do; a key leads back to the firmware."""
    return Boot(name, "small.dts", [
        Check("message", r"^loader: error: " + message, r"^loader: " + advice, BACK,
              lacks=r"starting the kernel"),
        Check("back", BACK, r"^BdsDxe: failed to start Boot"),
    ], edit=edit, steps=[(BACK, KEYS)], until=r"BdsDxe: failed to start Boot", timeout=60)


def panics(name, edit, message, frames):
    """The message, then where it came from, by name."""
    trace = [rf"^ +[0-9a-f]{{16}} {frame}\+0x" for frame in frames]
    return Boot(name, "small.dts", [
        Check("panic", r"^--- last log lines", r"^\[.*kernel\] AMD-V", rf"^PANIC: {message}"),
        Check("backtrace", r"^PANIC: ", r"^cpu 0 cr2 ", r"^backtrace:", *trace),
    ], edit=edit, until=r"PANIC: (?s:.)*backtrace:\r?\n(.*\n){2}", timeout=60, panics=True)


def stays(name, edit, message):
    """Root starts nothing, and the machine stays as it is."""
    return Boot(name, "small.dts", [
        Check("message", r"root\] system\.dtb: " + message, r"root\] system\.dtb: nothing is started"),
    ], edit=edit, until=r"nothing is started", timeout=60)


def other_runs(name, edit, message):
    """The guest concerned is refused; the other one runs, and the operator can end the machine."""
    return Boot(name, "small.dts", [
        Check("message", r"root\] there: " + message, r"root\] there: its VMM gave the guest up"),
        Check("other-runs", r"^\[here\] hello from a small guest: number one"),
    ], edit=edit, timeout=90, steps=[
        (r"the machine stays on, because there failed", r"\x1do"), (r"bulkhead> ", r"poweroff\n"),
        (r"the operator powers the machine off", ""),
    ])


BOOTS = [
    loader_refuses("kernel-missing", lambda v: v.remove("kernel.elf"), r"\\bulkhead\\kernel\.elf cannot be opened"),
    loader_refuses("kernel-short", lambda v: v.truncate("kernel.elf", 40000), r"kernel\.elf is damaged"),
    loader_refuses("kernel-abi", other_abi, r"kernel\.elf has ABI 99, this loader has ABI \d+",
                   "Make the whole image from one build"),
    loader_refuses("tree-missing", lambda v: v.remove("system.dtb"), r"\\bulkhead\\system\.dtb cannot be opened"),
    loader_refuses("tree-short", lambda v: v.truncate("system.dtb", 200), r"system\.dtb is damaged: "),
    loader_refuses("root-missing", lambda v: v.remove("root.elf"), r"\\bulkhead\\root\.elf cannot be opened"),
    loader_refuses("guest-missing", lambda v: v.remove("vmlinuz"), r"\\bulkhead\\vmlinuz cannot be opened"),
    loader_refuses("guest-empty", lambda v: v.truncate("vmlinuz", 0), r"vmlinuz is empty", "Put the file"),
    loader_refuses("root-short", lambda v: v.truncate("root.elf", 3000), r"root\.elf is damaged"),
    loader_refuses("root-segment", bad_segment, r"root\.elf cannot be used: a segment is not whole in the file"),
    panics("root-crash", crashing_root, r"root stopped: fault 1 vector 6", ["thread_fault"]),
    stays("tree-schema", other_schema, r'schema "bulkhead,system-v9" is not known'),
    stays("tree-broken", broken_tree, r"damaged device tree"),
    other_runs("guest-short", lambda v: v.truncate("vmlinuz", 5000000), r"vmlinuz: damaged: the file is shorter"),
    other_runs("guest-junk", lambda v: v.write("vmlinuz", b"junk" * 5000), r"vmlinuz: neither a bzImage, an ELF program, a Multiboot"),
]
