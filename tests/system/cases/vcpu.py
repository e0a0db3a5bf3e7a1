"""Each kind of VM exit, injection, timer and doorbell, with a guest of a few instructions."""

from boot import DELIVERY, GO_ON, Boot, Check

COUNTED = r"\[.*\] vcpu: "
END = r"vcpu: test: \d+ passed, \d+ failed"
# Bochs with AMD-V lets nothing interrupt a guest that has interrupts off since its entry: the endless one, the case before
# the last, and the one that keeps a vector out.
HELD = ["vcpu_x2apic_held_exits", "vcpu_x2apic_held_helped"]
BEFORE_ENDLESS = r"vcpu: (PASS|FAIL) vcpu_doorbell"
SVM = Check("vendor", r"kernel\] AMD-V")
VMX = Check("vendor", r"kernel\] VT-x")

BOOTS = [
    Boot("vcpu-qemu-svm", "vcpu.dts", [SVM], cpus=2, options=["--icount", "--icount-shift", "4"],
         until=END, counted=COUNTED, timeout=90),
    # The one with virtual-interrupt delivery, and its defect (tests/README.md).
    Boot("vcpu-bochs-vmx", "vcpu.dts", [VMX], platform="bochs-vmx", options=DELIVERY, until=END,
         counted=COUNTED, known=["vcpu_x2apic_held_helped"], timeout=200),
    Boot("vcpu-bochs-svm", "vcpu.dts", [SVM], platform="bochs-svm", until=BEFORE_ENDLESS,
         counted=COUNTED, whole=False, known=HELD, machine=GO_ON, timeout=200),
]
