"""Every system call with good and bad arguments, on machines with 1, 2 and 4 CPUs and on both vendors' CPUs."""

from boot import Boot, Check

COUNTED = r"\[.*\] calls: "
END = r"calls: test: \d+ passed, \d+ failed"
# QEMU counts instructions as time: a test of times must not depend on what else the host does.
COUNT = ["--icount", "--icount-shift", "4"]

BOOTS = [
    Boot(f"calls-{cpus}", "calls.dts", [Check("cpus", rf"Bulkhead: {cpus} CPUs?,")], cpus=cpus,
         options=COUNT, until=END, counted=COUNTED, timeout=90)
    for cpus in (1, 2, 4)
] + [
    Boot("calls-bochs-vmx", "calls.dts", [], platform="bochs-vmx", until=END, counted=COUNTED,
         timeout=200),
]
