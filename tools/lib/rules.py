"""Checks what ties nodes of a description together: memory, CPUs, devices, backends, names."""

import re

PAGE = 4096
BLOCK = 512
GPT_NAME = 36  # characters of a partition's name
UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
MAX_DISK_VOLUMES = 32  # DISK_VOLUMES_MAX of the disk drivers
HOLE = (0xC0000000, 0x100000000)  # APICs, PCI windows and firmware of a guest
GUEST_TOP = 1 << 40
MAX_VCPUS = 64
MAX_MODULES = 8  # BOOT_MODULES_MAX of the VMM
CHIPSET_SLOTS = (0, 1)  # host bridge and ISA bridge of the guest's machine
DEFAULT_POOL_KIB = 256
DEFAULT_DMA_KIB = 256
MAX_PORTS = 32  # of a switch
MAX_INTERRUPTS = 128  # INTERRUPT_ENTRIES of root
MAX_GUEST_DEVICES = {  # MACHINE_DISKS, MACHINE_CARDS, MACHINE_FUNCTIONS of the VMM; it has one of the others
    "guest-disk": (4, "virtio disks"),
    "guest-net": (4, "virtio network cards"),
    "guest-console": (1, "virtio consoles"),
    "guest-entropy": (1, "entropy devices"),
    "guest-function": (4, "functions of the machine's own"),
}
MAX_CONSOLE_PORTS = 4
MAX_VOLUMES = 16  # of a server that keeps them in memory
VOLUME_TOP = 1 << 40
SESSION_BYTES = 0x112000  # of a disk or network card, with its bounce memory
KERNEL_BYTES = 16 << 20  # kernel, boot pool and what the firmware keeps


def pair(cells):
    """(base, size) of a region written in 2 + 2 cells."""
    return cells[0] << 32 | cells[1], cells[2] << 32 | cells[3]


def regions(node):
    """The (base, size) pairs in a node's reg of 2 + 2 cells each."""
    cells = node.cells("reg")
    return [pair(cells[at : at + 4]) for at in range(0, len(cells) - 3, 4)]


def of_kind(top, *kinds):
    return [node for node in top.walk() if node.kind in kinds]


class Rules:
    """Runs every rule over a tree whose kinds shape.py has set; `notes` are lines to print."""

    def __init__(self, root, handles, errors):
        self.root, self.handles, self.errors = root, handles, errors
        self.notes = []
        self.owners = {}  # path of a device: the domain that has access
        self.unit_addresses()
        self.hardware()
        self.domains()
        for partition in of_kind(root, "partition"):
            self.guest(partition)
        self.debuggers()
        self.backends()

    def targets(self, node, name):
        """The nodes that a property refers to, without those that point nowhere."""
        found = (self.handles.get(cell) for cell in node.cells(name))
        return [target for target in found if target is not None]

    def unit_addresses(self):
        for node in self.root.walk():
            wanted = unit_of(node)
            if wanted and node.unit != wanted[0] and node.unit not in wanted:
                self.errors.add(node, f'node name must end in "@{wanted[0]}", as its reg says')

    def twice(self, nodes, key, what, prop="reg"):
        """Notes each node whose key another node had before."""
        seen = {}
        for node in nodes:
            value = key(node)
            if value is None:
                continue
            if value in seen:
                self.errors.add(node, f"{what} is already given by {seen[value].path}", prop)
            seen.setdefault(value, node)

    def apart(self, spans, what):
        """Notes each span (low, end, node) that overlaps one that starts lower."""
        top, below = -1, None
        for low, end, node in sorted(spans, key=lambda span: span[:2]):
            if low < top:
                other = "itself" if below is node else below.path
                self.errors.add(node, f"{what} {low:#x}-{end - 1:#x} overlaps {other}", "reg")
            if end > top:
                top, below = end, node

    def hardware(self):
        root = self.root
        self.twice(of_kind(root, "cpu"), lambda cpu: tuple(cpu.cells("reg")) or None, "this CPU")
        if root.child("cpus") and not of_kind(root, "cpu"):
            self.errors.add(root.child("cpus"), 'node "cpu@0" is missing')
        self.pci(of_kind(root, "function"))
        for bus in of_kind(root, "pci"):
            self.interrupt_map(bus)
        self.ports(of_kind(root, "uart"))
        for uart in of_kind(root, "uart"):
            self.sense(uart)
        for channel in of_kind(root, "ata"):
            cells = channel.cells("reg")
            if len(cells) == 6 and (cells[0], cells[2], cells[3], cells[5]) != (1, 8, 1, 1):
                self.errors.add(channel, "reg must be <1 PORT 8 1 PORT 1>: command and control block", "reg")
            self.sense(channel)
        for controller in of_kind(root, "i8042"):
            cells = controller.cells("reg")
            if len(cells) == 6 and (cells[0], cells[2], cells[3], cells[5]) != (1, 1, 1, 1):
                self.errors.add(controller, "reg must be <1 PORT 1 1 PORT 1>: data and command port", "reg")
            self.sense(controller)
        for disk in of_kind(root, "volumes"):
            self.areas(disk.children, BLOCK, "blocks of 512 bytes")
            if len(disk.children) > MAX_DISK_VOLUMES:
                message = f"{len(disk.children)} volumes, at most {MAX_DISK_VOLUMES} are supported"
                self.errors.add(disk, message)
            self.partitions(of_kind(disk, "gpt-volume"))
        self.areas(of_kind(root, "shared"), PAGE, "pages of 4 KiB")
        chosen = root.child("chosen")
        path = chosen.text("stdout-path") if chosen else None
        if path is not None:
            uarts = [uart.path for uart in of_kind(root, "uart")]
            if path.split(":")[0] not in uarts:
                self.errors.add(chosen, f'"{path}" is not a serial port under /isa', "stdout-path")

    def partitions(self, nodes):
        """Partitions of a disk's own table: found by name or by GUID, none twice."""
        for node in nodes:
            name, uuid = node.text("gpt-name"), node.text("gpt-uuid")
            if ("gpt-name" in node.props) == ("gpt-uuid" in node.props):
                self.errors.add(node, 'a volume has a "reg" (and is a "partition@"), a "gpt-name" or a "gpt-uuid"')
            if name is not None and not (name.isascii() and 0 < len(name) <= GPT_NAME):
                self.errors.add(node, f"the name must be 1 to {GPT_NAME} ASCII characters", "gpt-name")
            if uuid is not None and not UUID.fullmatch(uuid):
                self.errors.add(node, "must be a GUID, 8-4-4-4-12 hexadecimal digits", "gpt-uuid")
        self.twice(nodes, lambda node: node.text("gpt-name"), "this partition", "gpt-name")
        self.twice(nodes, lambda node: (node.text("gpt-uuid") or "").lower() or None, "this partition", "gpt-uuid")

    def sense(self, node):
        interrupts = node.cells("interrupts")
        if len(interrupts) == 2 and interrupts[1] > 3:
            self.errors.add(node, "sense of the interrupt must be 0 to 3", "interrupts")

    def areas(self, nodes, unit, words):
        """Regions of a disk or of memory: aligned, not empty, apart from each other."""
        spans = []
        for node in nodes:
            for base, size in regions(node):
                if size == 0:
                    self.errors.add(node, "size is zero", "reg")
                elif base % unit or size % unit:
                    self.errors.add(node, f"start and size must be whole {words}", "reg")
                elif base + size > 1 << 64:
                    self.errors.add(node, "ends beyond 64 bits", "reg")
                else:
                    spans.append((base, base + size, node))
        self.apart(spans, "region")

    def ports(self, nodes):
        """I/O port ranges: in I/O space, of 8 ports, apart from each other."""
        spans = []
        for node in nodes:
            cells = node.cells("reg")
            if len(cells) != 3:
                continue
            if cells[0] != 1:
                self.errors.add(node, "first number of reg must be 1: I/O ports", "reg")
            elif cells[2] != 8:
                self.errors.add(node, "a 16550 has 8 ports", "reg")
            elif cells[1] + cells[2] > 0x10000:
                self.errors.add(node, "ends beyond port 0xffff", "reg")
            else:
                spans.append((cells[1], cells[1] + 8, node))
        self.apart(spans, "port range")

    def pci(self, nodes, taken=()):
        """PCI functions: a plain address, none twice, no slot that is taken."""
        self.twice(nodes, lambda node: (node.cells("reg") or [None])[0], "this PCI address")
        for node in nodes:
            cells = node.cells("reg")
            if len(cells) != 5:
                continue
            if cells[0] & ~0xFFFF00 or any(cells[1:]):
                message = "reg must be <(bus << 16 | device << 11 | function << 8) 0 0 0 0>"
                self.errors.add(node, message, "reg")
            elif taken and cells[0] >> 16:
                self.errors.add(node, "a guest has PCI bus 0 only", "reg")
            elif taken and cells[0] >> 11 & 31 in taken:
                self.errors.add(node, "PCI devices 0 and 1 are the chipset's", "reg")

    def interrupt_map(self, bus):
        """Where pins of PCI functions lead: <address 0 0 pin, I/O APIC, input, sense>."""
        cells, name = bus.cells("interrupt-map"), "interrupt-map"
        mask = bus.cells("interrupt-map-mask")
        if name in bus.props and "#interrupt-cells" not in bus.props:
            self.errors.add(bus, '"interrupt-map" needs "#interrupt-cells"', name)
        if len(mask) == 4 and (mask[0] & ~0xFFFF00 or mask[1:] != [0, 0, 7]):
            self.errors.add(bus, "must be <MASK 0 0 7>, MASK within 0xffff00", "interrupt-map-mask")
        if len(cells) % 7:
            return
        if len(cells) > 7 * MAX_INTERRUPTS:
            message = f"{len(cells) // 7} pins, at most {MAX_INTERRUPTS} are supported"
            self.errors.add(bus, message, name)
        seen = set()
        for at in range(0, len(cells), 7):
            address, middle, low, pin, handle, _, sense = cells[at : at + 7]
            controller = self.handles.get(handle)
            if address & ~0xFFFF00 or middle or low or not 1 <= pin <= 4:
                message = "each entry must begin <(bus << 16 | device << 11 | function << 8) 0 0 PIN>, PIN 1 to 4"
                self.errors.add(bus, message, name)
            elif controller is None or controller.kind != "ioapic":
                self.errors.add(bus, f"entry {at // 7 + 1} names no interrupt controller", name)
            elif sense > 3:
                self.errors.add(bus, "the sense must be 0 to 3", name)
            elif (address, pin) in seen:
                self.errors.add(bus, f"pin {pin} of {address:#x} has two routes", name)
            seen.add((address, pin))

    def domains(self):
        nodes = of_kind(self.root, "domain", "partition")
        names = {}
        for node in nodes:
            if node.base in names:
                other = names[node.base].path
                self.errors.add(node, f'the name "{node.base}" is already used by {other}')
            names.setdefault(node.base, node)
            self.processors(node)
            self.times(node)
            for device in self.targets(node, "access"):
                if device.path in self.owners:
                    owner = self.owners[device.path].path
                    message = f"device {device.path} is already given to {owner}"
                    self.errors.add(node, message, "access")
                self.owners.setdefault(device.path, node)
        self.screens(nodes)

    def screens(self, nodes):
        """What is about the screen stands with who drives it; a keyboard is some domain's, and one screen's."""
        for node in nodes:
            if any(device.kind == "framebuffer" for device in self.targets(node, "access")):
                continue
            for name in ("keyboard", "scale"):
                if name in node.props:
                    self.errors.add(node, f'"{name}" needs "access" to the framebuffer', name)
        keyboards = {}
        for node in nodes:
            for device in self.targets(node, "keyboard"):
                if device.kind not in ("i8042", "uart", "function"):
                    continue  # which was noted
                owner = self.owners.get(device.path)
                if owner is None or owner is node:
                    self.errors.add(node, f"no other domain has access to {device.path}", "keyboard")
                elif device.path in keyboards:
                    self.errors.add(node, f"{device.path} is given twice", "keyboard")
                keyboards[device.path] = node

    def processors(self, node):
        cpus = node.cells("cpus")
        if len(cpus) > MAX_VCPUS:
            self.errors.add(node, f"{len(cpus)} CPUs, at most {MAX_VCPUS} are supported", "cpus")
        if "share-cpu" in node.props:
            return
        for cpu in sorted(set(cpus)):
            if cpus.count(cpu) > 1 and cpu in self.handles:
                path = self.handles[cpu].path
                hint = " (share-cpu allows it)" if node.kind == "partition" else ""
                self.errors.add(node, f"{path} is given twice{hint}", "cpus")

    def times(self, node):
        budget, period = node.cells("budget-us"), node.cells("period-us")
        for name, other in (("budget-us", period), ("period-us", budget)):
            if name in node.props and not other:
                missing = "period-us" if name == "budget-us" else "budget-us"
                self.errors.add(node, f'"{name}" needs "{missing}" too', name)
        if budget and period and budget[0] > period[0]:
            self.errors.add(node, "budget-us is more than period-us", "budget-us")
        limit = node.cells("restart-limit")
        if len(limit) == 2 and limit[1] == 0:
            self.errors.add(node, "restart-limit is <times seconds>, seconds at least 1",
                            "restart-limit")

    def guest(self, partition):
        if "replay-off" in partition.props and "fault-injection" not in partition.parent.props:
            self.errors.add(partition, '"replay-off" needs "fault-injection" in /domains', "replay-off")
        machine = partition.child("machine")
        if machine is None:
            return
        memory = of_kind(machine, "memory")
        if not memory:
            self.errors.add(machine, 'node "memory@0" is missing')
        self.areas(memory, PAGE, "pages of 4 KiB")
        for node in memory:
            for base, size in regions(node):
                if size and base < HOLE[1] and base + size > HOLE[0]:
                    message = "overlaps the devices at 0xc0000000-0xffffffff"
                    self.errors.add(node, f"memory {base:#x}-{base + size - 1:#x} {message}", "reg")
                elif GUEST_TOP < base + size <= 1 << 64:
                    self.errors.add(node, "memory ends above 1 TiB", "reg")
        starts = [base for node in memory for base, _ in regions(node)]
        if starts and 0 not in starts:
            self.errors.add(memory[0], "a guest needs memory at address 0", "reg")
        modules = of_kind(machine, "boot-module")
        if len(modules) > MAX_MODULES:
            message = f"{len(modules)} modules, at most {MAX_MODULES} are supported"
            self.errors.add(machine.child("boot"), message)
        self.ports(of_kind(machine, "guest-uart"))
        self.pci(of_kind(machine, *MAX_GUEST_DEVICES), CHIPSET_SLOTS)
        for kind, (most, what) in MAX_GUEST_DEVICES.items():
            found = of_kind(machine, kind)
            if len(found) > most:
                message = f"{len(found)} {what}, at most {most} are supported"
                self.errors.add(found[most], message)
        for console in of_kind(machine, "guest-console"):
            self.console_ports(console)
        self.passed(partition, machine)

    def passed(self, partition, machine):
        """Each PCI function that a partition has access to is in its guest's machine once, and no other is."""
        mine = {device.path for device in self.targets(partition, "access") if device.kind == "function"}
        nodes = of_kind(machine, "guest-function")
        self.twice(nodes, lambda node: (node.cells("backend") or [None])[0], "this function", "backend")
        for node in nodes:
            for target in self.targets(node, "backend"):
                if target.kind == "function" and target.path not in mine:
                    self.errors.add(node, f"{partition.path} has no access to {target.path}", "backend")
        shown = {target.path for node in nodes for target in self.targets(node, "backend")}
        for path in sorted(mine - shown):
            self.errors.add(partition, f'no node in its machine has {path} as "backend"', "access")

    def console_ports(self, console):
        """Ports of a virtio console are numbered from 0 on, and have the backends then."""
        ports = of_kind(console, "guest-console-port")
        self.numbered(console, "port", MAX_CONSOLE_PORTS)
        numbers = {number for port in ports for number in port.cells("reg")}
        if numbers and numbers != set(range(len(numbers))):
            self.errors.add(console, "its ports are not numbered from 0 on")
        if ports and "backend" in console.props:
            self.errors.add(console, 'its ports have the "backend"s, not itself', "backend")

    def debuggers(self):
        """Serial lines of debuggers: a domain drives each, and nobody else uses it."""
        chosen = self.root.child("chosen")
        console = (chosen.text("stdout-path") or "").split(":")[0] if chosen else ""
        nodes = of_kind(self.root, "partition")
        self.twice(nodes, lambda node: (node.cells("debug") or [None])[0], "this port", "debug")
        for node in nodes:
            if "debug-wait" in node.props and "debug" not in node.props:
                self.errors.add(node, '"debug-wait" needs "debug"', "debug-wait")
            for port in self.targets(node, "debug"):
                owner = self.owners.get(port.path)
                if owner is None or owner.kind != "domain":
                    self.errors.add(node, f"no domain has access to {port.path}", "debug")
                if port.path == console:
                    self.errors.add(node, f"{port.path} is the console's", "debug")

    def backends(self):
        root = self.root
        for uart in of_kind(root, "guest-uart", "guest-console", "guest-console-port"):
            for console in self.targets(uart, "backend"):
                program = console.text("program")
                if console.kind == "domain" and program and not program.startswith("console"):
                    message = f"{console.path} runs {program}, which is not a console"
                    self.errors.add(uart, f'property "backend": {message}', "backend")
        for node in of_kind(root, "port"):
            self.owned(node, self.targets(node, "backend"))
        for parent in of_kind(root, "ports"):
            self.numbered(parent, "port", MAX_PORTS)
        for parent in of_kind(root, "memory-volumes"):
            self.numbered(parent, "volume", MAX_VOLUMES)
        for node in of_kind(root, "memory-volume"):
            self.memory_volume(node)
        used = {}
        for node in of_kind(root, "guest-disk", "guest-net"):
            for target in self.targets(node, "backend"):
                shareable = target.kind != "port" and "read-only" in target.props
                if target.path in used and not shareable:
                    other = used[target.path].path
                    self.errors.add(node, f"{target.path} is already given to {other}", "backend")
                used.setdefault(target.path, node)
                if target.kind in ("volume", "gpt-volume"):
                    self.owned(node, [target.parent.parent])
                if target.kind == "port" and "backend" in target.props:
                    self.errors.add(node, f"{target.path} is the switch's uplink", "backend")
                if target.kind == "memory-volume" and "zero-copy" in node.props:
                    self.errors.add(node, "a volume in memory has no zero-copy", "zero-copy")
                self.reach(node, target)
        self.addresses(of_kind(root, "guest-net"))

    def numbered(self, parent, what, most):
        """Ports or volumes of a server: no number twice, and not too many."""
        nodes = [node for node in parent.children if node.kind]
        self.twice(nodes, lambda node: tuple(node.cells("reg")) or None, f"this {what}")
        if len(nodes) > most:
            self.errors.add(parent, f"{len(nodes)} {what}s, at most {most} are supported")

    def memory_volume(self, node):
        """A volume of zeroes needs a size; one of a file, what becomes of writes."""
        size, copy = node.cells("size"), "copy-on-write" in node.props
        if "file" not in node.props:
            for name in ("read-only", "copy-on-write"):
                if name in node.props:
                    self.errors.add(node, f'"{name}" needs a "file"', name)
            if "size" not in node.props:
                self.errors.add(node, 'a volume without "file" needs a "size"')
        elif copy == ("read-only" in node.props):
            message = 'a file needs either "read-only" or "copy-on-write"'
            self.errors.add(node, message, "file")
        if "overlay-kib" in node.props and not copy:
            self.errors.add(node, '"overlay-kib" needs "copy-on-write"', "overlay-kib")
        if len(size) == 2:
            size = size[0] << 32 | size[1]
            if size == 0 or size % BLOCK or size > VOLUME_TOP:
                message = "size must be whole blocks of 512 bytes, not 0, at most 1 TiB"
                self.errors.add(node, message, "size")

    def owned(self, node, devices):
        for device in devices:
            if device.kind == "function" and device.path not in self.owners:
                self.errors.add(node, f"no domain has access to {device.path}", "backend")

    def reach(self, node, target):
        """Says which driver may reach a guest's memory."""
        if "zero-copy" not in node.props:
            return
        device = target.parent.parent if target.kind in ("volume", "gpt-volume") else None
        driver = self.owners.get(device.path) if device else None
        if driver:
            file, line = node.props["zero-copy"].place
            guest = node.parent.parent.parent.path
            reach = f"zero-copy lets {driver.path} reach the memory of {guest}"
            self.notes.append(f"{file}:{line}: {node.path}: {reach}")

    def addresses(self, nodes):
        for node in nodes:
            prop = node.props.get("local-mac-address")
            octets = prop.octets() if prop else None
            if octets and octets[0] & 1:
                self.errors.add(node, "a multicast MAC address", "local-mac-address")
        self.twice(
            nodes,
            lambda node: (node.props["local-mac-address"].octets() or None)
            if "local-mac-address" in node.props
            else None,
            "this MAC address",
            "local-mac-address",
        )

    def volume_bytes(self, node, files):
        """Memory that a volume in memory takes."""
        if "read-only" in node.props:
            return 0
        size = node.cells("size")
        size = size[0] << 32 | size[1] if len(size) == 2 else files.get(node.text("file"), 0)
        overlay = (node.cells("overlay-kib") or [size >> 10])[0] << 10
        return min(size, overlay) + (size >> 10)

    def fits(self, mebibytes, files):
        """Checks that all memory asked for, and the files {name: size}, fit a machine of that size."""
        total = KERNEL_BYTES + sum(files.values())
        for node in of_kind(self.root, "memory-volume"):
            total += self.volume_bytes(node, files)
        for node in of_kind(self.root, "guest-disk", "guest-net", "port"):
            total += SESSION_BYTES if "backend" in node.props else 0
        for node in of_kind(self.root, "memory", "shared"):
            total += sum(size for _, size in regions(node))
        for node in of_kind(self.root, "domain", "partition"):
            total += (node.cells("pool-kib") or [DEFAULT_POOL_KIB])[0] << 10
            if node.kind == "domain" and any(device.kind == "function" for device in self.targets(node, "access")):
                total += (node.cells("dma-kib") or [DEFAULT_DMA_KIB])[0] << 10
        if total > mebibytes << 20:
            node = self.root.child("domains") or self.root
            need = -(-total >> 20)
            message = f"{need} MiB of memory are needed, the machine has {mebibytes} MiB"
            self.errors.add(node, message)


def unit_of(node):
    """The spellings of the unit address that a node's reg asks for, the best one first."""
    cells, kind = node.cells("reg"), node.kind
    if kind in ("cpu", "port", "memory-volume", "guest-console-port") and len(cells) == 1:
        return (f"{cells[0]:x}",)
    if kind in ("uart", "guest-uart") and len(cells) == 3:
        return (f"i{cells[1]:x}",)
    if kind in ("ata", "i8042") and len(cells) == 6:
        return (f"i{cells[1]:x}",)
    if kind in ("function", *MAX_GUEST_DEVICES) and len(cells) == 5:
        device, function = cells[0] >> 11, cells[0] >> 8 & 7  # with the bus, for all stand in one node
        spelt = (f"{device:x},{function:x}", f"{device & 31:x},{function:x}")
        return spelt if function else (*spelt, f"{device:x}")
    if kind in ("memory", "volume", "shared", "ioapic") and len(cells) >= 4:
        return (f"{pair(cells)[0]:x}",)
    return ()
