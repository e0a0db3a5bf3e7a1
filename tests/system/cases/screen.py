"""A machine without a serial port, used from its screen and keyboard: what is checked was read from the screen."""

import hashlib

from boot import Boot, Check
from disk import MIB, make, pattern

A, B = r"^\[linux-a\] ", r"^\[linux-b\] "
BOTH = r"(?s)linux-a\] Enter 'help'.*linux-b\] Enter 'help'|linux-b\] Enter 'help'.*linux-a\] Enter 'help'"

# The hot keys, each followed by what it leads to; then the drivers fail under what is shown.
STEPS = [
    (BOTH, r"echo in-$(hostname)-$((6*7)); echo 'AbC {[|]} \"~@#' | tr a-z A-Z\n"),
    (r"in-a-42", r"<alt-f2>"),
    (r"typing goes to linux-b", r"echo in-$(hostname)-$((6*8))\n"),
    (r"in-b-48", r"<alt-left>"),
    (r"typing goes to linux-a", r"echo again-$(hostname)-$((6*9))\n"),
    (r"again-a-54", r"<alt-f12>"),
    (r"typing goes to the operator's prompt", r"list\n"),
    (r"MiB of memory are free", r"inject display kill\n"),
    (r"display is restarted \(1\)", r"inject i8042 kill\n"),
    (r"i8042 is restarted \(1\)", r"inject display bad-ring\n"),
    (r"display is restarted \(2\)", r"inject i8042 stale-ring\n"),
    (r"i8042 is restarted \(2\)", r"inject console wild-write\n"),
    (r"console is restarted \(1\)", r"stats display\n"),
    (r"deaths", r"<alt-f1>"),
    # Shown alone, a program has the whole screen.
    (r"typing goes to linux-a", r"<alt-f11>"),
    (r"only linux-a is shown", r"printf '\\033[2J\\033[5;10Hp%s\\033[7mq\\033[m\\n' laced; sleep 2\n"),
    (r"placedq", r"<alt-f11>"),
    (r"all consoles are shown", r"seq 900 1000; echo end-$((7*7))\n"),
    (r"end-49", r"<shift-pgup><shift-pgup><shift-pgup>"),
    (r"(?m)^\[linux-a\] 920$", r"x\x7fpoweroff\n"),
    (r"linux-a: its guest switched itself off", r"<alt-f2>poweroff\n"),
]
CHECKS = [
    Check("early-log", r"^\[ +\d+\.\d+ 0 kernel\] Bulkhead: 1 CPUs?"),
    Check("guest-a", A + r"in-a-42$", A + r"ABC \{\[\|\]\} \"~@#$", A + r"again-a-54$"),
    Check("guest-b", B + r"in-b-48$"),
    Check("status", r"^ +linux-b +and all others +Alt-F1 linux-a +F2 linux-b", r"^ +operator's prompt +and all others ",
          r"^ +linux-a +alone "),
    Check("operator", r"^bulkhead> list", r"^i8042 +domain +running", r"^display +domain +running"),
    Check("restart", r"display is restarted \(1\)", r"i8042 is restarted \(1\)", r"console is restarted \(1\)"),
    Check("rings", r"display broke the protocol with all its peers", r"i8042 broke the protocol with all its peers"),
    Check("cursor-motion", r"^         placedq$"),
    Check("looks-back", A + r"end-49$", A + r"920$"),
    Check("off", r"linux-a: its guest switched itself off"),
]

# A USB keyboard behind a hub, while a guest reads the USB disk at the same controller; then the driver of both fails.
READ = r"dd if=/dev/vda bs=64k count=256 iflag=direct 2>/dev/null | sha256sum"
USB_STEPS = [
    (A + "Enter 'help'", r"(while [ ! -e /tmp/stop ]; do " + READ + r" >>/tmp/sums; done; echo done >/tmp/done) &\n"),
    (r"(?s)\[linux-a\] / # .*\[linux-a\] / # ", r"echo in-$(hostname)-$((6*7)) 'AbC {[|]} \"~@#' <caps_lock>caps<caps_lock>\n"),
    (r"in-a-42 AbC", r"<alt-f12>"),
    (r"typing goes to the operator's prompt", r"inject usb kill\n"),
    (r"(?s)usb is restarted \(1\).*: a keyboard", r"list\n"),
    (r"MiB of memory are free", r"<alt-f1>"),
    (r"typing goes to linux-a", r"touch /tmp/stop; until [ -e /tmp/done ]; do sleep 1; done; sort -u /tmp/sums; "
                                r"echo errors-$(dmesg | grep -ciE 'i/o error|blk_update|timeout')\n"),
    (r"errors-\d", r"poweroff\n"),
]
SUM = hashlib.sha256(b"".join(pattern(mebibyte) for mebibyte in range(16 * MIB // MIB))).hexdigest()
USB_CHECKS = [
    Check("log", r"usb: PCI function 00:10.0: port \d+: a hub of 8 ports", r"usb: PCI function 00:10.0: port \d+\.1: a keyboard"),
    Check("keys", A + r"in-a-42 AbC \{\[\|\]\} \"~@# CAPS$"),
    Check("restart", r"usb is restarted \(1\)", r"^usb +domain +running", A + rf"{SUM}  -$", A + r"errors-0$"),
    Check("off", r"linux-a: its guest switched itself off"),
]


def boot(platform, size, timeout, **options):
    log = Check("log", rf"^\[ +\d+\.\d+ 0 root\] display: {size}")
    return Boot(f"screen-{platform}", "screen.dts", [log, *CHECKS], platform=platform, steps=STEPS, cpus=1, timeout=timeout,
                options=("--console", "screen"), **options)


BOOTS = [
    Boot("screen-usb-qemu-svm", "guests/systems/usb.dts", USB_CHECKS, steps=USB_STEPS, cpus=1, timeout=240,
         disks=[("usb", make)], options=("--console", "screen", "--keyboard", "usb")),
    boot("qemu-svm", "1280 x 800 pixels, 160 columns, 49 rows", 300),
    boot("bochs-vmx", "800 x 600 pixels, 100 columns, 36 rows", 1200, by_hand=True),
]
