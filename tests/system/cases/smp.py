"""Guests with several vCPUs: all that local APICs send each other, on CPUs of their own and on shared ones; and Linux."""

from boot import Boot, Check

BOOTS = [
    Boot("smp-qemu-svm", "smp.dts", [
        Check("own", r"^\[own\] smp: [1-9]\d* passed, 0 failed"),
        Check("shared", r"^\[shared\] smp: [1-9]\d* passed, 0 failed"),
    ], counted=r"\[shared\] ", timeout=120),
    Boot("smp-linux-qemu-svm", "guests/systems/smp.dts", [
        Check("cpus", r"^\[linux\] Hello from guest a: Linux .* 4 CPU\(s\)"),
        Check("compute", r"^\[linux\] +4 [0-9a-f]{64} +/bin/busybox$"),
        Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|soft lockup"),
    ], cpus=4, timeout=180, steps=[
        (r"/ # ", r"for i in 0 1 2 3; do taskset $((1 << i)) sha256sum /bin/busybox & done | sort | uniq -c; "
                  r"echo end-$((40+1))\n"),
        (r"end-41", r"poweroff\n"),
    ]),
    Boot("smp-shared-qemu-svm", "guests/systems/smp-shared.dts", [
        Check("cpus", r"^\[linux\] Hello from guest a: Linux .* 4 CPU\(s\)"),
        Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|soft lockup"),
    ], timeout=180, steps=[(r"/ # ", r"poweroff\n")]),
]
