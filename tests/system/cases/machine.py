"""Machines that lack what the description asks for: what cannot run is named, the rest runs."""

from boot import Boot, Check

HERE = Check("other-runs", r"^\[here\] hello from a small guest: number one")
OPERATOR = [(r"bulkhead> ", r"list\n"), (r"MiB of memory are free", r"poweroff\n"),
            (r"the operator powers the machine off", "")]
STAYS_ON = [(r"the machine stays on, because there failed", r"\x1do"), *OPERATOR]
FAILED = Check("state", r"^there +partition +failed")


def unedited(_):
    """With an image of its own, tools/run does not compare description and machine itself."""


def no_guests(name, cpu, message):
    return Boot(name, "small.dts", [
        Check("kernel", r"kernel\] no guests on this machine: " + message),
        Check("refused", r"root\] here: VM: ", r"root\] there: VM: "),
        Check("drivers-run", r"root\] 2 of 4 domains and partitions run", r"^uart +domain +running",
              r"^here +partition +failed", r"^there +partition +failed"),
    ], options=["--cpu", cpu], timeout=60, steps=[(r"typing goes to here", r"\x1do"), *OPERATOR])


BOOTS = [
    Boot("one-cpu", "small.dts", [
        Check("message", r"root\] system\.dtb: /domains/there: CPU 1 \(cpu@1\) is missing: this machine has 1 CPU"),
        HERE, FAILED,
    ], cpus=1, steps=STAYS_ON, timeout=60),
    Boot("memory-256", "small.dts", [
        Check("message", r"root\] there: memory: 192 MiB are described, but only \d+ MiB of the machine's \d+ MiB are free"),
        HERE, FAILED,
    ], memory=256, edit=unedited, steps=STAYS_ON, timeout=60),
    Boot("memory-64", "small.dts", [
        Check("message", r"^loader: error: not enough memory for vmlinuz", r"^loader: Take a smaller file"),
    ], memory=64, edit=unedited, until=r"loader: Back to the firmware", timeout=60),
    no_guests("no-npt", "EPYC,+svm,-npt", r"AMD-V without nested paging"),
    no_guests("no-svm", "EPYC,-svm", r".*(AMD-V|SVM)"),
    Boot("no-acpi", "small.dts", [
        Check("loader", r"^loader: .*, no ACPI power-off"), HERE,
        Check("guest", r"^\[there\] Hello from guest a", r"root\] there: its guest switched itself off"),
        Check("stays", r"root\] the machine cannot be powered off: .*: switch it off by hand"),
    ], machine=["-no-acpi"], until=r"switch it off by hand", timeout=90),
]
