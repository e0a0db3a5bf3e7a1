"""Every system call with good and bad arguments, and with random ones before, on machines with 1, 2 and 4 CPUs and on both vendors' CPUs."""

from boot import Boot, Check

COUNTED = r"\[.*\] calls: "
WILD = Check("wild", r"wild: wild: 20000 calls made, \d+ accepted", r"wild ended with code 0", r"calls: PASS ")
END = r"calls: test: \d+ passed, \d+ failed"
# QEMU counts instructions as time: a test of times must not depend on what else the host does.
COUNT = ["--icount", "--icount-shift", "4"]

BOOTS = [
    Boot(f"calls-{cpus}", "calls.dts", [Check("cpus", rf"Bulkhead: {cpus} CPUs?,"), WILD], cpus=cpus,
         options=COUNT, until=END, counted=COUNTED, timeout=90)
    for cpus in (1, 2, 4)
] + [
    Boot("calls-bochs-vmx", "calls.dts", [WILD], platform="bochs-vmx", until=END, counted=COUNTED,
         timeout=200),
]
