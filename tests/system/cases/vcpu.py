"""Each kind of VM exit, injection, timer and doorbell, with a guest of a few instructions."""

from boot import GO_ON, Boot, Check

COUNTED = r"\[.*\] vcpu: "
END = r"vcpu: test: \d+ passed, \d+ failed"
# Bochs with AMD-V lets nothing interrupt a guest that never had interrupts on: the endless one, the case before the last.
BEFORE_ENDLESS = r"vcpu: (PASS|FAIL) vcpu_doorbell"
SVM = Check("vendor", r"kernel\] AMD-V")
VMX = Check("vendor", r"kernel\] VT-x")

BOOTS = [
    Boot("vcpu-qemu-svm", "vcpu.dts", [SVM], options=["--icount", "--icount-shift", "4"],
         until=END, counted=COUNTED, timeout=90),
    Boot("vcpu-bochs-vmx", "vcpu.dts", [VMX], platform="bochs-vmx", until=END, counted=COUNTED,
         timeout=200),
    Boot("vcpu-bochs-svm", "vcpu.dts", [SVM], platform="bochs-svm", until=BEFORE_ENDLESS,
         counted=COUNTED, whole=False, machine=GO_ON, timeout=200),
]
