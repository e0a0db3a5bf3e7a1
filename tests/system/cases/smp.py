"""Guests with several vCPUs: all that local APICs send each other, on CPUs of their own and on shared ones; and Linux."""

from boot import Boot, Check

# Each processor writes a quarter of the disk, by a queue of its own, and reads it back.
DISK = (r"dd if=/dev/urandom of=/tmp/p bs=64k count=32 2>/dev/null; "
        r"for i in 0 1 2 3; do (taskset $((1 << i)) dd if=/tmp/p of=/dev/vda bs=64k seek=$((i * 32)) oflag=direct; "
        r"taskset $((1 << i)) dd if=/dev/vda of=/tmp/q$i bs=64k skip=$((i * 32)) count=32 iflag=direct) 2>/dev/null & "
        r"done; wait; n=0; for i in 0 1 2 3; do cmp /tmp/p /tmp/q$i && n=$((n + 1)); done; echo same-$n; "
        r"grep req /proc/interrupts; echo end-$((40+2))\n")
COMPILE = r"compile-test; echo end-$((40+3))\n"  # it compares the program with the one that the host made
COMPILED = Check("compile", r"^\[linux\] compile-test: PASS [0-9a-f]{16}, \d+ passed, 0 failed$")

# Ticks of 10 ms in which processors could have run.
STOLEN = (r"dmesg | grep -i kvm; echo stolen-$(awk '/^cpu / { print $9 }' /proc/stat); echo end-$((40+4))\n")

WELL = Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|soft lockup")
LONG = 1200


def linux(platform, timeout, **options):
    """Four processors on a CPU each."""
    return Boot(f"smp-linux-{platform}", "guests/systems/smp.dts", [
        Check("cpus", r"^\[linux\] Hello from guest cc: Linux .* 4 CPU\(s\)"),
        Check("compute", r"^\[linux\] +4 [0-9a-f]{64} +/bin/busybox$"),
        Check("disk", r"^\[linux\] same-4$"), COMPILED, WELL,
    ], platform=platform, cpus=4, timeout=timeout, steps=[
        (r"/ # ", r"for i in 0 1 2 3; do taskset $((1 << i)) sha256sum /bin/busybox & done | sort | uniq -c; "
                  r"echo end-$((40+1))\n"),
        (r"end-41", DISK),
        (r"end-42", COMPILE),
        (r"end-43", r"poweroff\n"),
    ], **options)


def shared(platform, timeout, **options):
    """Four processors on two CPUs."""
    return Boot(f"smp-shared-{platform}", "guests/systems/smp-shared.dts", [
        Check("cpus", r"^\[linux\] Hello from guest cc: Linux .* 4 CPU\(s\)"),
        Check("paravirtual", r"^\[linux\] .*KVM setup pv remote TLB flush", r"^\[linux\] .*setup PV IPIs"),
        Check("steal", r"^\[linux\] stolen-[1-9]\d*$"),
        Check("disk", r"^\[linux\] same-4$"), COMPILED, WELL,
    ], platform=platform, timeout=timeout,
        steps=[(r"/ # ", DISK), (r"end-42", COMPILE), (r"end-43", STOLEN), (r"end-44", r"poweroff\n")], **options)


BOOTS = [
    Boot("smp-qemu-svm", "smp.dts", [
        Check("own", r"^\[own\] smp: [1-9]\d* passed, 0 failed"),
        Check("shared", r"^\[shared\] smp: [1-9]\d* passed, 0 failed"),
        Check("ends-skipped", r"^\[shared\] PASS smp_pv_skipped"),
    ], counted=r"\[shared\] ", timeout=120),
    linux("qemu-svm", 400),
    shared("qemu-svm", 400),
    *(make(platform, LONG, by_hand=True) for platform in ("bochs-vmx", "bochs-svm") for make in (linux, shared)),
]
