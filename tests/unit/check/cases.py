"""Ways to break good.dts: name, node, part of the message, edits (old, new); @@ marks the line.

A fifth part, if there is one, holds further arguments for tools/check. Each case must give one error,
except those in MORE, where others follow from it.
"""

A = "/domains/linux-a"
B = "/domains/bare-b"
GPT = "/pci/nvme@5/partitions"
UUID = 'gpt-uuid = "01234567-89ab-cdef-0123-456789ABCDEF";'
DISKS = "/pci/nvme@4,0/partitions"
COM2 = '\t\tcom2: serial@i2f8 { compatible = "ns16550a"; reg = <1 0x2f8 8>; interrupts = <3 1>; };'
NIC0 = '\t\tnic0: ethernet@3,0 { reg = <0x1800 0 0 0 0>; compatible = "pci8086,10d3"; };'
BOOT_B = """boot {
					kernel = "guest.elf";
					environment { file = "b.cpio"; args = "a b"; };
				};"""
BOOT_A = 'boot { kernel = "vmlinuz"; initrd = "a.cpio"; bootargs = "console=ttyS0"; };'
RAM_B = "reg = <0 0 0 0x200000>;"
RAM_A = "reg = <1 0 0 0x10000000 2 0 0 0x1000>;"
UART_A = 'serial@i2f8 { compatible = "ns16550a"; reg = <1 0x2f8 8>; };'

LANGUAGE = [
    ("syntax", "/", "syntax error", [("fpu;", "fpu @@fpu;")]),
    ("no-label", "/domains/uart", '"nobody"', [("access = <&com1>", "@@access = <&nobody>")]),
    ("same-node", "/domains/console", "Duplicate node name",
     [("\n\t\te1000e {", "\n\t\t@@console {")]),
    ("same-property", "/domains/uart", "Duplicate property name", [("fpu;", "fpu; @@fpu;")]),
]

NODES = [
    ("unknown-node", "/sound", 'unknown node "sound"',
     [("\tdomains {", "\t@@sound { };\n\tdomains {")]),
    ("unknown-guest-node", A + "/machine/acpi", 'unknown node "acpi"',
     [(BOOT_A, BOOT_A + "\n@@acpi { };")]),
    ("module-file", B + "/machine/boot/environment", '"file" is missing',
     [('environment { file = "b.cpio";', "@@environment {")]),
    ("modules", B + "/machine/boot", "9 modules, at most 8",
     [("boot {\n", "@@boot {\n"),
      ('args = "a b"; };', 'args = "a b"; };' + "".join(f' m{i} {{ file = "b.cpio"; }};' for i in range(8)))]),
    ("unknown-device", "/isa/serial@i2e8", 'compatible "ns8250"',
     [(COM2, COM2 + '\n@@serial@i2e8 { compatible = "ns8250"; };')]),
    ("unknown-pci", "/pci/net@6,0", 'compatible "8086:10d3"',
     [(NIC0, NIC0 + '\n@@net@6,0 { compatible = "8086:10d3"; reg = <0x3000 0 0 0 0>; };')]),
    ("unknown-domain", "/domains/x", 'compatible "bulkhead,guest"',
     [("\n\t\te1000e {", '\n\t\tx { @@compatible = "bulkhead,guest"; };\n\t\te1000e {')]),
    ("no-compatible", "/domains/x", '"compatible" is missing',
     [("\n\t\te1000e {", "\n\t\t@@x { };\n\t\te1000e {")]),
    ("no-domains", "/", 'node "domains" is missing',
     [("\n/ {", "\n@@/ {"), ("\n\t};\n};\n", "\n\t};\n};\n/ { /delete-node/ domains; };\n")]),
    ("no-machine", B, '"machine" is missing',
     [("\t\tbare-b {", "\t\t@@bare-b {"), ("\n\t};\n};\n", "\n\t};\n};\n&{/domains/bare-b} {\n"
      "\t/delete-node/ machine;\n};\n")]),
    ("no-boot", A + "/machine", '"boot" is missing',
     [("\t\t\tmachine {", "\t\t\t@@machine {"), (BOOT_A, "")]),
    ("no-memory", B + "/machine", '"memory@0" is missing',
     [("machine {\n\t\t\t\t#address-cells = <2>;\n\t\t\t\t#size-cells = <2>;\n\t\t\t\t" + BOOT_B,
       "@@machine {\n\t\t\t\t#address-cells = <2>;\n\t\t\t\t#size-cells = <2>;\n\t\t\t\t" + BOOT_B),
      ('memory@0 { device_type = "memory"; ' + RAM_B + " };", "")]),
    ("two-isa", "/", 'more than one node "isa"',
     [("\n/ {", "\n@@/ {"), ("\tdomains {", '\tisa@1 { compatible = "isa"; #address-cells = <2>; '
                             "#size-cells = <1>; };\n\tdomains {")]),
]

PROPERTIES = [
    ("unknown-property", "/domains/nvme", 'unknown property "prio"',
     [("priority = <20>;", "@@prio = <20>;")]),
    ("unknown-in-root", "/", 'unknown property "modell"', [("model =", "@@modell =")]),
    ("missing-program", "/domains/console", '"program" is missing',
     [("\t\tconsole: console {", "\t\t@@console: console {"), ('program = "console.elf";', "")]),
    ("missing-reg", "/pci/ethernet@3,0", '"reg" is missing',
     [(NIC0, '\t\t@@nic0: ethernet@3,0 { compatible = "pci8086,10d3"; };')]),
    ("missing-kernel", B + "/machine/boot", '"kernel" is missing',
     [(BOOT_B, "@@boot { };")]),
    ("schema-version", "/", 'must be "bulkhead,system-v1"', [("system-v1", "system-v2@@")]),
    ("bad-panic", "/chosen", 'must be "halt" or "reboot"', [('panic = "halt"', '@@panic = "stop"')]),
    ("bad-on-exit", A, 'must be "stop" or "restart"', [('on-exit = "restart"', '@@on-exit = "go"')]),
    ("flag-value", "/domains/uart", "takes no value", [("fpu;", "@@fpu = <1>;")]),
    ("number-as-string", "/domains/nvme", "must be one number",
     [("priority = <20>", '@@priority = "20"')]),
    ("two-numbers", "/domains/nvme", "must be one number", [("<20>", "<20 21>@@")]),
    ("wide-number", "/domains/nvme", "must be one number",
     [("priority = <20>", "@@priority = /bits/ 64 <20>")]),
    ("string-as-number", "/domains/uart", "must be one string", [('"9600"', "<9600>@@")]),
    ("two-strings", "/domains/uart", "must be one string", [('"9600"', '"9600", "8"@@')]),
    ("short-reg", "/isa/serial@i2f8", "has 2 numbers, must have 3",
     [("reg = <1 0x2f8 8>; interrupts", "@@reg = <1 0x2f8>; interrupts")]),
    ("odd-memory", B + "/machine/memory@0", "a multiple of 4", [(RAM_B, "@@reg = <0 0 0x200000>;")]),
    ("short-mac", B + "/machine/pci/net@5,1", "must be 6 bytes", [("00 00 0b]", "00 0b]@@")]),
    ("address-cells", A + "/machine", "is 1, must be 2",
     [("machine {\n\t\t\t\t#address-cells = <2>", "machine {\n\t\t\t\t@@#address-cells = <1>")]),
    ("priority-low", "/domains/nvme", "is 0, must be 1 to 63", [("<20>", "<0>@@")]),
    ("priority-high", "/domains/nvme", "is 64, must be 1 to 63", [("<20>", "<64>@@")]),
    ("pool-small", "/domains/nvme", "is 63, must be 64 to 65536", [("<512>", "<63>@@")]),
    ("pool-large", "/domains/nvme", "is 65537, must be", [("<512>", "<65537>@@")]),
    ("autostart", A, "is 2, must be 0 to 1", [("autostart = <0>", "autostart = <2>@@")]),
    ("vlan", "/domains/switch/ethernet-ports/port@1", "is 4095, must be 1 to 4094",
     [("vlan = <10>", "@@vlan = <4095>")]),
    ("budget", A, "budget-us is more than period-us", [("<5000>", "<10001>@@")]),
    ("budget-alone", A, '"budget-us" needs "period-us"',
     [("budget-us", "@@budget-us"), ("period-us = <10000>;", "")]),
    ("restart-limit", "/domains/nvme", "seconds at least 1", [("<5 60>", "<5 0>@@")]),
    ("replay-off", A, 'needs "fault-injection" in /domains', [('on-exit = "restart";', 'on-exit = "restart"; @@replay-off;')]),
    ("heartbeat", "/domains/nvme", "heartbeat-ms", [("heartbeat-ms = <500>", "@@heartbeat-ms = <60001>")]),
    ("restart-delay", "/domains/nvme", "restart-delay-ms", [("restart-delay-ms = <50>", "@@restart-delay-ms = <10001>")]),
    ("unit-address", "/cpus/cpu@2", 'must end in "@1"', [("cpu1: cpu@1", "@@cpu1: cpu@2")]),
    ("unit-address-bus", "/pci/ethernet@43,0", 'must end in "@23,0"', [("ethernet@23,0", "@@ethernet@43,0")]),
    ("unit-address-pci", B + "/machine/pci/net@5,0", 'must end in "@5,1"', [("net@5,1", "@@net@5,0")]),
    ("stdout-path", "/chosen", "is not a serial port", [("&com1; panic", '"/isa/x"; @@panic')]),
]

FILES = [
    ("no-program", "/domains/uart", '"urt.elf" is not in', [("uart.elf", "urt.elf@@")]),
    ("no-kernel", B + "/machine/boot", '"none.elf" is not in', [("guest.elf", "none.elf@@")]),
    ("no-initrd", A + "/machine/boot", '"c.cpio" is not in', [("a.cpio", "c.cpio@@")]),
    ("file-in-folder", A + "/machine/boot", "plain file name", [("a.cpio", "../a.cpio@@")]),
    ("file-taken", A + "/machine/boot", "the image uses itself", [("a.cpio", "root.elf@@")]),
]

REFERENCES = [
    ("nowhere", "/domains/uart", "points nowhere", [("access = <&com1>", "@@access = <0x99>")]),
    ("cpu-kind", "/domains/uart", "not at a cpu", [("cpus = <&cpu0>", "@@cpus = <&com1>")]),
    ("access-kind", "/domains/uart", "not at a serial port or ATA channel or keyboard controller or framebuffer or PCI function",
     [("access = <&com1>", "@@access = <&vol_a>")]),
    ("console-kind", A + "/machine/isa/serial@i3f8", "not at a domain",
     [("backend = <&console>", "@@backend = <&port_a>")]),
    ("not-a-console", A + "/machine/isa/serial@i3f8", "runs nvme.elf, which is not a console",
     [("\t\tnvme {", "\t\tdriver: nvme {"), ("backend = <&console>", "@@backend = <&driver>")]),
    ("console-port-kind", A + "/machine/pci/console@a,0/port@0", "runs nvme.elf, which is not a console",
     [("\t\tnvme {", "\t\tdriver: nvme {"),
      ("port@0 { reg = <0>; backend = <&console>; };", "port@0 { reg = <0>; @@backend = <&driver>; };")]),
    ("console-port-gap", A + "/machine/pci/console@a,0", "not numbered from 0",
     [("\t\t\t\t\tconsole@a,0 {", "\t\t\t\t\t@@console@a,0 {"),
      ('port@1 { reg = <1>; label = "log"; };', 'port@2 { reg = <2>; label = "log"; };')]),
    ("two-backends", A + "/machine/pci/console@a,0", "not itself",
     [('compatible = "pci1af4,1043";', 'compatible = "pci1af4,1043"; @@backend = <&console>;')]),
    ("two-rngs", A + "/machine/pci/rng@c,0", "2 entropy devices, at most 1",
     [("\t\t\t\t\trng@b,0 {",
       '\t\t\t\t\trng@b,0 { reg = <0x5800 0 0 0 0>; compatible = "pci1af4,1044"; };\n@@rng@c,0 {'),
      ('{ reg = <0x5800 0 0 0 0>; compatible = "pci1af4,1044"; };\n\t\t\t\t\tnet',
       '{ reg = <0x6000 0 0 0 0>; compatible = "pci1af4,1044"; };\n\t\t\t\t\tnet')]),
    ("disk-kind", A + "/machine/pci/disk@4,0", "not at a volume",
     [("backend = <&vol_a>", "@@backend = <&nvme0>")]),
    ("net-kind", A + "/machine/pci/net@5,0", "not at a switch port",
     [("backend = <&port_a>", "@@backend = <&nic0>")]),
    ("uplink", A + "/machine/pci/net@5,0", "is the switch's uplink",
     [("backend = <&port_a>", "@@backend = <&uplink>")]),
    ("region-kind", "/domains/nvme", "not at a reserved-memory region",
     [("memory-region = <&mailbox>", "@@memory-region = <&vol_a>")]),
    ("interrupt-parent", "/", "not at a interrupt controller",
     [("interrupt-parent = <&ioapic>", "@@interrupt-parent = <&com1>")]),
    ("no-driver", A + "/machine/pci/disk@4,0", "no domain has access to /pci/nvme@5",
     [("backend = <&vol_a>", "@@backend = <&vol_c>")]),
    ("no-net-driver", "/domains/switch/ethernet-ports/port@0", "no domain has access",
     [("access = <&nic0>;", ""), ("backend = <&nic0>", "@@backend = <&nic0>")]),
]

MEMORY = [
    ("ram-zero", B + "/machine/memory@0", "size is zero", [(RAM_B, "@@reg = <0 0 0 0>;")]),
    ("ram-unaligned", B + "/machine/memory@0", "whole pages", [(RAM_B, "@@reg = <0 0 0 0x200800>;")]),
    ("ram-hole", B + "/machine/memory@0", "overlaps the devices",
     [(RAM_B, "@@reg = <0 0 0 0xc0001000>;")]),
    ("ram-high", A + "/machine/memory@100000000", "above 1 TiB",
     [(RAM_A, "@@reg = <1 0 0 0x10000000 0x100 0 0 0x1000>;")]),
    ("ram-wraps", A + "/machine/memory@100000000", "beyond 64 bits",
     [(RAM_A, "@@reg = <1 0 0 0x10000000 0xffffffff 0xfffff000 0 0x2000>;")]),
    ("ram-overlaps", A + "/machine/memory@8000000", "overlaps " + A + "/machine/memory@0",
     [("memory@100000000", "memory@8000000"), (RAM_A, "@@reg = <0 0x8000000 0 0x10000000>;")]),
    ("ram-overlaps-itself", A + "/machine/memory@100000000", "overlaps itself",
     [(RAM_A, "@@reg = <1 0 0 0x2000 1 0x1000 0 0x1000>;")]),
    ("ram-not-at-zero", B + "/machine/memory@100000", "needs memory at address 0",
     [('memory@0 { device_type = "memory"; ' + RAM_B,
       '@@memory@100000 { device_type = "memory"; reg = <0 0x100000 0 0x200000>;')]),
    ("shared-overlaps", "/reserved-memory/frames@8000000", "overlaps /reserved-memory/mailbox",
     [("frames@8001000 { reg = <0 0x8001000", "frames@8000000 { @@reg = <0 0x8000000")]),
    ("shared-unaligned", "/reserved-memory/frames@8001000", "whole pages",
     [("0 0x10000>;", "0 0x10001>;@@")]),
    ("volume-overlaps", DISKS + "/partition@30000000", "overlaps " + DISKS + "/partition@100000",
     [("partition@40100000", "partition@30000000"), ("<0 0x40100000", "@@<0 0x30000000")]),
    ("volume-unaligned", DISKS + "/partition@100000", "whole blocks",
     [("reg = <0 0x100000 0 0x40000000>", "@@reg = <0 0x100000 0 0x40000001>")]),
    ("ata-ports", "/isa/ata@i170", "command and control block", [("1 0x376 1>", "1 0x376 2>@@")]),
    ("ata-sense", "/isa/ata@i170", "must be 0 to 3", [("interrupts = <15 1>", "interrupts = <15 4>@@")]),
    ("partition-twice", GPT + "/log", "already given by " + GPT + "/home", [(UUID, '@@gpt-name = "home";')]),
    ("partition-both", GPT + "/log", 'a "gpt-name" or a "gpt-uuid"', [("\t\t\t\tlog {", "\t\t\t\t@@log {"), (UUID, UUID + ' gpt-name = "log";')]),
    ("partition-nothing", GPT + "/log", 'a "gpt-name" or a "gpt-uuid"', [("\t\t\t\tlog {", "\t\t\t\t@@log {"), (UUID, "")]),
    ("partition-uuid", GPT + "/log", "must be a GUID", [("01234567-89ab", "@@01234567+89ab")]),
    ("partition-name", GPT + "/home", "1 to 36 ASCII", [('gpt-name = "home"', '@@gpt-name = "' + "x" * 37 + '"')]),
    ("many-partitions", GPT, "33 volumes, at most 32",
     [("vol_c: ", "".join(f'p{n} {{ gpt-name = "p{n}"; }};\n' for n in range(30)) + "vol_c: "),
      ('pciclass,010802";\n\t\t\tpartitions {', 'pciclass,010802";\n\t\t\t@@partitions {')]),
    ("too-much", "/domains", "MiB of memory are needed, the machine has 512 MiB",
     [("\tdomains {", "\t@@domains {")], ["--memory", "512"]),
]

TWICE = [
    ("cpu-reg", "/cpus/cpu@00", "already given by /cpus/cpu@0",
     [("cpu1: cpu@1 { device_type = \"cpu\"; reg = <1>", "@@cpu1: cpu@00 { device_type = \"cpu\"; reg = <0>")]),
    ("cpu", A, "/cpus/cpu@0 is given twice",
     [("cpus = <&cpu0 &cpu0>;", "@@cpus = <&cpu0 &cpu0>;"), ("share-cpu;", "")]),
    ("cpu-of-domain", "/domains/console", "/cpus/cpu@1 is given twice",
     [("<&cpu0 &cpu1>", "<&cpu1 &cpu1>@@")]),
    ("no-cpu-given", B, "must be references", [("cpus = <&cpu1>", "@@cpus = <>")]),
    ("vcpus", A, "65 CPUs, at most 64", [("<&cpu0 &cpu0>", "<" + "&cpu0 " * 65 + ">@@")]),
    ("device", B, "device /isa/serial@i3f8 is already given to /domains/uart",
     [("access = <&com2 &nic1>", "@@access = <&com1 &nic1>")]),
    ("device-in-one-list", "/domains/nvme", "device /pci/nvme@4,0 is already given",
     [("<&nvme0>", "<&nvme0 &nvme0>@@")]),
    ("name", "/domains/uart@1", 'name "uart" is already used by /domains/uart',
     [("\t\tbare-b {", "\t\t@@uart@1 {")]),
    ("ports", "/isa/serial@i3fc", "overlaps /isa/serial@i3f8",
     [("com2: serial@i2f8", "com2: serial@i3fc"), ("<1 0x2f8 8>; interrupts", "@@<1 0x3fc 8>; interrupts")]),
    ("guest-ports", A + "/machine/isa/serial@i3fc", "overlaps",
     [(UART_A, '@@serial@i3fc { compatible = "ns16550a"; reg = <1 0x3fc 8>; };')]),
    ("pci-address", "/pci/nvme@4", "already given by /pci/nvme@4,0",
     [("nvme1: nvme@5", "nvme1: nvme@4"), ("reg = <0x2800 0 0 0 0>", "@@reg = <0x2000 0 0 0 0>")]),
    ("guest-slot", B + "/machine/pci/net@1,1", "are the chipset's",
     [("net@5,1", "net@1,1"), ("<0x2900 0", "@@<0x0900 0")]),
    ("volume", B + "/machine/pci/disk@4,0", "is already given to " + A + "/machine/pci/disk@6,0",
     [("read-only;", ""), ("<&vol_b>; };\n\t\t\t\t\tnet@5,1", "<&vol_b>; @@};\n\t\t\t\t\tnet@5,1")]),
    ("switch-port", B + "/machine/pci/net@5,1", "is already given to",
     [("backend = <&port_b>", "@@backend = <&port_a>")]),
    ("switch-port-number", "/domains/switch/ethernet-ports/port@01", "already given by",
     [("port_b: port@2 { reg = <2>", "@@port_b: port@01 { reg = <1>")]),
    ("mac", B + "/machine/pci/net@5,1", "already given by", [("00 00 0b]", "00 00 0a]@@")]),
    ("multicast", B + "/machine/pci/net@5,1", "multicast", [("[02 00 00 00 00 0b]", "[03 00 00 00 00 0b]@@")]),
]

VOLUMES = "/domains/ramdisk/volumes"
SCRATCH = "size = <0 0x100000>;"
FILE_T = 'file = "tools.img"; read-only;'

SERVERS = [
    ("volume-number", VOLUMES + "/volume@01", "this volume is already given by",
     [("tools: volume@1 { reg = <1>", "tools: @@volume@01 { reg = <0>")]),
    ("volume-unit", VOLUMES + "/volume@4", 'must end in "@1"', [("volume@1 {", "@@volume@4 {")]),
    ("volume-no-size", VOLUMES + "/volume@0", 'needs a "size"',
     [("scratch: volume@0", "@@scratch: volume@0"), (SCRATCH, "")]),
    ("volume-no-bytes", VOLUMES + "/volume@0", "not 0", [(SCRATCH, "@@size = <0 0>;")]),
    ("volume-part-block", VOLUMES + "/volume@0", "whole blocks", [(SCRATCH, "@@size = <0 1000>;")]),
    ("volume-huge", VOLUMES + "/volume@0", "at most 1 TiB", [(SCRATCH, "@@size = <0x101 0>;")]),
    ("volume-short-size", VOLUMES + "/volume@0", "has 1 numbers", [(SCRATCH, "@@size = <512>;")]),
    ("volume-read-only", VOLUMES + "/volume@0", '"read-only" needs a "file"',
     [(SCRATCH, SCRATCH + " @@read-only;")]),
    ("volume-both", VOLUMES + "/volume@1", 'either "read-only" or', [(FILE_T, "@@" + FILE_T + " copy-on-write;")]),
    ("volume-neither", VOLUMES + "/volume@2", 'either "read-only" or',
     [('file = "system.img";', '@@file = "system.img";'), ("copy-on-write;", ""), ("overlay-kib = <512>;", "")]),
    ("volume-overlay", VOLUMES + "/volume@1", 'needs "copy-on-write"',
     [(FILE_T, FILE_T + " @@overlay-kib = <4>;")]),
    ("volume-file", VOLUMES + "/volume@1", '"none.img" is not in', [("tools.img", "none.img@@")]),
    ("volume-shared", B + "/machine/pci/disk@9,0", "is already given to " + A + "/machine/pci/disk@7,0",
     [("backend = <&system>", "@@backend = <&scratch>")]),
    ("volume-zero-copy", B + "/machine/pci/disk@9,0", "has no zero-copy",
     [("backend = <&system>;", "backend = <&system>; @@zero-copy;")]),
    ("net-zero-copy", A + "/machine/pci/net@5,0", "zero-copy",
     [("[02 00 00 00 00 0a];", "[02 00 00 00 00 0a]; @@zero-copy;")]),
    ("many-volumes", VOLUMES, "17 volumes, at most 16",
     [("volumes {", "@@volumes {"), ("scratch: volume@0", "".join(
         f"volume@{n:x} {{ reg = <{n}>; size = <0 512>; }};\n" for n in range(3, 17)) + "scratch: volume@0")]),
    ("many-ports", "/domains/switch/ethernet-ports", "33 ports, at most 32",
     [("ethernet-ports {", "@@ethernet-ports {"), ("uplink: port@0", "".join(
         f"port@{n:x} {{ reg = <{n}>; }};\n" for n in range(3, 33)) + "uplink: port@0")]),
    ("volumes-too-much", "/domains", "MiB of memory are needed",
     [("\tdomains {", "\t@@domains {"), (SCRATCH, "size = <0 0x40000000>;")], ["--memory", "1024"]),
]

DEBUG = "debug = <&com3>;"
MAP = "\t\tinterrupt-map = <0x1800 0 0 1 &ioapic 11 1>"
INTERRUPTS = [
    ("map-cells", "/pci", "number", [(MAP, "@@\t\tinterrupt-map = <0x1800 0 0 1 &ioapic 11>")]),
    ("map-mask", "/pci", "must be <MASK 0 0 7>", [("<0xf800 0 0 7>", "<0xf800 0 0 3>@@")]),
    ("map-address", "/pci", "each entry must begin", [(MAP, "@@\t\tinterrupt-map = <0x1801 0 0 1 &ioapic 11 1>")]),
    ("map-middle", "/pci", "each entry must begin", [(MAP, "@@\t\tinterrupt-map = <0x1800 0 1 1 &ioapic 11 1>")]),
    ("map-pin", "/pci", "PIN 1 to 4", [(MAP, "@@\t\tinterrupt-map = <0x1800 0 0 5 &ioapic 11 1>")]),
    ("map-controller", "/pci", "entry 1 names no", [(MAP, "@@\t\tinterrupt-map = <0x1800 0 0 1 &cpu0 11 1>")]),
    ("map-sense", "/pci", "0 to 3", [(MAP, "@@\t\tinterrupt-map = <0x1800 0 0 1 &ioapic 11 4>")]),
    ("map-twice", "/pci", "pin 2 of 0x2000 has two routes",
     [(MAP, "@@\t\tinterrupt-map = <0x2000 0 0 2 &ioapic 11 1>")]),
    ("map-many", "/pci", "131 pins, at most 128",
     [(MAP, "@@" + MAP + "".join(f", <{i << 8:#x} 0 0 3 &ioapic 11 1>" for i in range(128)))]),
    ("map-alone", "/pci", 'needs "#interrupt-cells"', [("\t\t#interrupt-cells = <1>;\n", ""), (MAP, "@@" + MAP)]),
]

DEBUGGERS = [
    ("debug-console", A, "is the console's", [(DEBUG, "@@debug = <&com1>;")]),
    ("debug-no-driver", A, "no domain has access to", [(DEBUG, "@@debug = <&com2>;")]),
    ("debug-kind", A, "not at a serial port", [(DEBUG, "@@debug = <&nic0>;")]),
    ("debug-twice", B, "is already given by " + A,
     [("\t\tbare-b {\n", "\t\tbare-b {\n\t\t\t@@debug = <&com3>;\n")]),
    ("debug-wait", A, 'needs "debug"', [(DEBUG, ""), ("debug-wait;", "@@debug-wait;")]),
]

SCREEN, KEYS = "/domains/display", "access = <&kbd>;"
SCREENS = [
    ("screen-keyboard", SCREEN, "no other domain has access to", [(KEYS, ""), ("keyboard = <&kbd>", "@@keyboard = <&kbd>")]),
    ("screen-keyboard-twice", SCREEN, "is given twice", [("keyboard = <&kbd>", "@@keyboard = <&kbd &kbd>")]),
    ("screen-keyboard-kind", SCREEN, "not at a keyboard controller", [("keyboard = <&kbd>", "@@keyboard = <&fb>")]),
    ("screen-scale", SCREEN, "must be 1 to 8", [("scale = <2>", "@@scale = <9>")]),
    ("screen-missing", SCREEN, 'needs "access" to the framebuffer', [("access = <&fb>;", ""), ("scale =", "@@scale =")]),
    ("keyboard-layout", "/domains/i8042", 'must be "us"', [('layout = "de"', '@@layout = "xx"')]),
    ("i8042-reg", "/isa/i8042@i60", "data and command port", [("reg = <1 0x60 1 1 0x64 1>", "@@reg = <1 0x60 2 1 0x64 1>")]),
]

OWN = '\t\t\t\t\tnic@a,0 { reg = <0x5000 0 0 0 0>; compatible = "bulkhead,function"; backend = <&nic1>; };\n'
OWN_AT = B + "/machine/pci/nic@a,0"
PASSED = [
    ("pass-unnamed", B, 'has /pci/ethernet@6,0 as "backend"', [(OWN, ""), ("access = <&com2 &nic1>", "@@access = <&com2 &nic1>")]),
    ("pass-no-access", OWN_AT, "has no access to /pci/ethernet@6,0", [("&com2 &nic1", "&com2"), (OWN, "@@" + OWN)]),
    ("pass-others", OWN_AT, "has no access to /pci/ethernet@3,0",
     [("&com2 &nic1", "&com2"), (OWN, "@@" + OWN.replace("nic1", "nic0"))]),
    ("pass-kind", OWN_AT, "not at a PCI function", [("&com2 &nic1", "&com2"), (OWN, "@@" + OWN.replace("nic1", "vol_a"))]),
    ("pass-twice", B + "/machine/pci/nic@b,0", "this function is already given by",
     [(OWN, OWN + "@@" + OWN.replace("a,0", "b,0").replace("0x5000", "0x5800"))]),
    ("pass-place", B + "/machine/pci/nic@1,0", "are the chipset's", [(OWN, "@@" + OWN.replace("0x5000", "0x0800").replace("nic@a,0", "nic@1,0"))]),
]

CASES = PASSED + SCREENS + DEBUGGERS + SERVERS + INTERRUPTS + LANGUAGE + NODES + PROPERTIES + FILES + REFERENCES + MEMORY + TWICE
MORE = {"screen-missing", "no-domains", "access-kind", "unit-address", "cpu-reg", "switch-port-number", "volume-number"}
