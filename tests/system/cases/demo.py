"""The demonstration system on each platform: two Linux guests, their consoles, the operator."""

from boot import Boot, Check

KEY = r"\x1d"  # Ctrl-]
BOTH = r"(?s)Hello from guest a: .*Hello from guest b: |Hello from guest b: .*Hello from guest a: "

# A command's end is marked by a sum, since what is typed is echoed.
GUESTS = [
    (BOTH, r"cat /proc/cpuinfo; echo end-$((40+1))\n"),
    (r"end-41", r"dmesg | tail -n 5; echo end-$((40+2))\n"),
    (r"end-42", r"date; echo $((6*7)) >/tmp/x; echo in-$(hostname)-$(cat /tmp/x); echo end-$((40+3))\n"),
    (r"end-43", KEY + "2"),
    (r"typing goes to linux-b", r"echo in-$(hostname)-$((6*8)); echo end-$((40+4))\n"),
    (r"end-44", KEY + "o"),
]
OPERATOR = [
    (r"operator's prompt[^?]*bulkhead> ", r"list\n"),
    (r"MiB of memory are free", r"lspci\n"),
    (r"host bridge, (?s:.*)bulkhead> ", r"describe\n"),
    (r"pci: pci (?s:.*)\n};", r"stats linux-a\n"),
    (r"process pool: ", r"regs linux-a\n"),
    (r"linux-a:   code at rip", r"help\n"),
    (r"help +this list", r"nonsense\n"),
    (r"is no command", r"stop nobody\n"),
    (r"is called \"nobody\"", r"stop uart\n"),
    (r"not stopped", r"restart uart\n"),
    (r"uart is restarted by the operator", r"restart console\n"),
    (r"console is restarted by the operator", r"\n"),
    (r"bulkhead> ", r"stats uart\n"),
    (r"process pool: ", r"restart-vmm linux-a\n"),
    (r"linux-a: a fresh VMM has taken the guest over \(1\)", r"restart-vmm linux-a\n"),
    (r"linux-a: a fresh VMM has taken the guest over \(2\)", r"restart-vmm uart\n"),
    (r"uart is no partition that runs", ""),
]
# The restarted guest is a new one; the other has not noticed.
AGAIN = [
    (r"", r"stop linux-b\n"),
    (r"linux-b is stopped by the operator", r"list\n"),
    (r"MiB of memory are free", r"start linux-b\n"),
    (r"Hello from guest b: ", KEY + "1"),
    (r"typing goes to linux-a", r"echo still-$(cat /tmp/x); echo end-$((40+5))\n"),
    (r"end-45", KEY + "2"),
    (r"typing goes to linux-b", r"cat /tmp/x; echo end-$((40+6))\n"),
    (r"end-46", KEY + "o"),
]
OFF = [
    (r"", KEY + "2"),
    (r"typing goes to linux-b", r"poweroff\n"),
    (r"linux-b: its guest switched itself off", KEY + "1"),
    (r"typing goes to linux-a", r"echo kept-$(cat /tmp/x); poweroff\n"),
    (r"linux-a: its guest switched itself off", ""),
]

A, B = r"^\[linux-a\] ", r"^\[linux-b\] "
CHECKS = [
    Check("guest-a", A + r"Hello from guest a: Linux 6\.\d+"),
    Check("guest-b", B + r"Hello from guest b: Linux 6\.\d+"),
    Check("prompt-a", A + r"[/~] # "),
    Check("prompt-b", B + r"[/~] # "),
    Check("guests-well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall"),
    Check("cpuinfo", A + r"processor\s*: 0", A + r"flags\s*: .*hypervisor", A + r"end-41",
          lacks=A + r"flags\s*: .* (svm|vmx)\b"),
    Check("dmesg", A + r"end-41", A + r"\[ +\d+\.\d{6}\] ", A + r"end-42"),
    Check("date", A + r".* UTC 20\d\d$"),
    Check("typing-a", A + r"in-a-42$"),
    Check("typing-b", B + r"in-b-48$"),
    Check("list", r"^name +kind +state", r"^bus +domain +running", r"^uart +domain +running", r"^console +domain +running",
          r"^linux-a +partition +running", r"^linux-b +partition +running", r"^boot file",
          r"^vmlinuz +\d+ +[0-9a-f]{16}$"),
    Check("lspci", r"^0000:00:00\.0 host bridge, pci8086,[0-9a-f]{4}, class 060000: nobody's$", r"^0000:00:(01|1f)\.",
          r"^0000:00:.* class 0[13]\w+: nobody's$"),
    Check("describe", r"^\tcpu0: cpu@0 \{ device_type = \"cpu\"; reg = <0x0>; \};$",
          r"^\t(ide|sata|display)@\w+,\d \{ reg = <0x\w+ 0 0 0 0>; compatible = \"pci\w{4},\w{4}\"; \};$"),
    Check("stats", r"^linux-a: running, started 1 times", r"^thread 0: CPU 0, priority 10, run time [1-9]",
          r"^vcpu 0: entries [1-9]", r"^ +ran [1-9]\d* ms: guest [1-9]\d*\.\d %, VMM \d+\.\d %, kernel \d+\.\d %; waited ",
          r"^ +exits +number +median +99 % +most$", r"^ +io +[1-9]\d* +[1-9]\d* +[1-9]\d* +[1-9]\d*$",
          r"^holder pool: \d+ of \d+ KiB"),
    Check("regs", r"linux-a: vcpu 0 runs$", r"linux-a:   rax [0-9a-f]{16} rcx ", r"linux-a:   cr0 8[0-9a-f]{7} cr2 ",
          r"linux-a:   code at rip: [0-9a-f]{2} "),
    Check("help", r"^list +domains", r"^poweroff +switch the machine off"),
    Check("no-such-command", r"^\"nonsense\" is no command"),
    Check("no-such-name", r"^no domain or partition is called \"nobody\""),
    Check("way-in-stays", r"^uart carries this prompt: it can be restarted, but not stopped"),
    Check("restart-uart", r"uart is restarted by the operator", r"^uart: running, started 2 times"),
    Check("restart-console", r"console is restarted by the operator", r"^bulkhead> "),
    Check("restart-vmm", r"linux-a: its VMM is restarted by the operator", r"linux-a: its VMM is restarted by the operator",
          A + r"kept-42$"),
    Check("off", r"linux-b: its guest switched itself off", r"linux-a: its guest switched itself off",
          r"the last guest has switched itself off: the machine is powered off"),
]
STOP_START = [
    Check("stop", r"linux-b is stopped by the operator", r"^linux-b +partition +stopped"),
    Check("start", r"linux-b is started by the operator", B + r"Hello from guest b: ", B + r".*/tmp/x.*No such file"),
    Check("neighbour", r"linux-b is started by the operator", A + r"still-42$"),
]

BOOTS = [
    Boot("demo-qemu-svm", "guests/systems/demo.dts", CHECKS + STOP_START,
         steps=GUESTS + OPERATOR + AGAIN + OFF, timeout=240),
    Boot("demo-bochs-vmx", "guests/systems/demo.dts", CHECKS, platform="bochs-vmx",
         steps=GUESTS + OPERATOR + OFF, timeout=800),
    Boot("demo-bochs-svm", "guests/systems/demo.dts", CHECKS, platform="bochs-svm",
         steps=GUESTS + OPERATOR + OFF, timeout=800),
]
