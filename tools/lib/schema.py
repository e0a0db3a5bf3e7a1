"""What a system description may contain: one table, and its reader.

A block names a kind of node. In it, a line is

    PROPERTY  required|optional  TYPE [VALUES]
    > NODE    required|optional|many  KIND
    > NODE    many  by-compatible

NODE is the name before the "@", or * for any. With by-compatible, the node's kind is the one of the
kinds listed in the block's `| PATTERN KIND` lines whose pattern fits its compatible string.

Types: flag (no value), string [a|b], file (name of a file that goes into the image), u32 [LOW..HIGH],
cells N (exactly), cells N* (any multiple, at least one), bytes N, ref KIND[|KIND], refs KIND[|KIND].
"""

TABLE = r"""
root
  compatible        required  string bulkhead,system-v1
  model             optional  string
  #address-cells    required  u32 2..2
  #size-cells       required  u32 2..2
  interrupt-parent  optional  ref ioapic
  tsc-unchecked     optional  flag
  share-core        optional  flag
  > chosen                optional  chosen
  > cpus                  required  cpus
  > interrupt-controller  many      ioapic
  > isa                   optional  isa
  > pci                   optional  pci
  > reserved-memory       optional  reserved-memory
  > domains               required  domains

chosen
  stdout-path       optional  string
  panic             optional  string halt|reboot
  > framebuffer           optional  framebuffer

framebuffer
  compatible        required  string simple-framebuffer

cpus
  #address-cells    required  u32 1..1
  #size-cells       required  u32 0..0
  > cpu                   many      cpu

cpu
  device_type       required  string cpu
  reg               required  u32

ioapic
  compatible            required  string intel,ce4100-ioapic
  reg                   required  cells 4
  interrupt-controller  required  flag
  #interrupt-cells      required  u32 2..2
  #address-cells        required  u32 0..0

isa
  compatible        required  string isa
  #address-cells    required  u32 2..2
  #size-cells       required  u32 1..1
  > *                     many      by-compatible
  | ns16550a              uart
  | bulkhead,ata-channel  ata
  | pnpPNP,303            i8042

i8042
  compatible        required  string
  reg               required  cells 6
  interrupts        required  cells 2
  interrupt-parent  optional  ref ioapic

ata
  compatible        required  string
  reg               required  cells 6
  interrupts        required  cells 2
  interrupt-parent  optional  ref ioapic

uart
  compatible        required  string
  reg               required  cells 3
  interrupts        required  cells 2
  interrupt-parent  optional  ref ioapic

pci
  compatible        required  string pci-host-cam-generic
  #address-cells    required  u32 3..3
  #size-cells       required  u32 2..2
  #interrupt-cells    optional  u32 1..1
  interrupt-map-mask  optional  cells 4
  interrupt-map       optional  cells 7*
  > *                     many      by-compatible
  | pci[0-9a-f]{1,4},[0-9a-f]{1,4}  function
  | pciclass,[0-9a-f]{4,6}          function

function
  compatible        required  string
  reg               required  cells 5
  dma-unprotected   optional  flag
  namespace         optional  u32 1..4294967294
  sata-port         optional  u32 0..31
  usb-port          optional  u32 1..255
  > partitions            optional  volumes

volumes
  compatible        required  string fixed-partitions
  #address-cells    required  u32 2..2
  #size-cells       required  u32 2..2
  > partition             many      volume
  > *                     many      gpt-volume

volume
  reg               required  cells 4
  read-only         optional  flag
  label             optional  string

gpt-volume
  gpt-name          optional  string
  gpt-uuid          optional  string
  read-only         optional  flag
  label             optional  string

reserved-memory
  #address-cells    required  u32 2..2
  #size-cells       required  u32 2..2
  ranges            optional  flag
  > *                     many      shared

shared
  reg               required  cells 4
  label             optional  string

domains
  fault-injection   optional  flag
  > *                     many      by-compatible
  | bulkhead,domain       domain
  | bulkhead,partition    partition

domain
  compatible        required  string
  program           required  file
  args              optional  string
  cpus              required  refs cpu
  access            optional  refs uart|ata|i8042|framebuffer|function|pci
  keyboard          optional  refs i8042|uart|function
  layout            optional  string us|de|uk
  scale             optional  u32 1..8
  memory-region     optional  refs shared
  priority          optional  u32 1..63
  budget-us         optional  u32 1..
  period-us         optional  u32 1..
  pool-kib          optional  u32 64..65536
  dma-kib           optional  u32 4..65536
  restart-limit     optional  cells 2
  restart-delay-ms  optional  u32 0..10000
  heartbeat-ms      optional  u32 0..60000
  fpu               optional  flag
  test-authority    optional  flag
  dma-faults-allowed optional flag
  > ethernet-ports        optional  ports
  > volumes               optional  memory-volumes

memory-volumes
  #address-cells    required  u32 1..1
  #size-cells       required  u32 0..0
  > volume                many      memory-volume

memory-volume
  reg               required  u32
  file              optional  file
  size              optional  cells 2
  read-only         optional  flag
  copy-on-write     optional  flag
  overlay-kib       optional  u32 1..
  label             optional  string

ports
  #address-cells    required  u32 1..1
  #size-cells       required  u32 0..0
  > port                  many      port

port
  reg               required  u32
  backend           optional  ref function
  vlan              optional  u32 1..4094
  max-kbps          optional  u32 1..

partition
  compatible        required  string
  program           required  file
  cpus              required  refs cpu
  access            optional  refs uart|function
  memory-region     optional  refs shared
  priority          optional  u32 1..63
  budget-us         optional  u32 1..
  period-us         optional  u32 1..
  pool-kib          optional  u32 64..65536
  restart-limit     optional  cells 2
  autostart         optional  u32 0..1
  on-exit           optional  string stop|restart
  replay-off        optional  flag
  share-core        optional  flag
  share-cpu         optional  flag
  debug             optional  ref uart
  debug-wait        optional  flag
  hardware-interrupts optional flag
  > machine               required  machine

machine
  #address-cells    required  u32 2..2
  #size-cells       required  u32 2..2
  > boot                  required  boot
  > memory                many      memory
  > isa                   optional  guest-isa
  > pci                   optional  guest-pci

boot
  kernel            required  file
  initrd            optional  file
  bootargs          optional  string
  > *                     many      boot-module

boot-module
  file              required  file
  args              optional  string

memory
  device_type       required  string memory
  reg               required  cells 4*

guest-isa
  compatible        required  string isa
  #address-cells    required  u32 2..2
  #size-cells       required  u32 1..1
  > *                     many      by-compatible
  | ns16550a              guest-uart
  | bulkhead,doorbell     guest-doorbell
  | bulkhead,fault        guest-doorbell

guest-doorbell
  compatible        required  string
  reg               required  cells 3*

guest-uart
  compatible        required  string
  reg               required  cells 3
  backend           optional  ref domain

guest-pci
  compatible        required  string pci-host-cam-generic
  #address-cells    required  u32 3..3
  #size-cells       required  u32 2..2
  > *                     many      by-compatible
  | pci1af4,1041          guest-net
  | pci1af4,1042          guest-disk
  | pci1af4,1043          guest-console
  | pci1af4,1044          guest-entropy
  | bulkhead,function     guest-function

guest-net
  compatible        required  string
  reg               required  cells 5
  backend           required  ref port
  local-mac-address optional  bytes 6

guest-disk
  compatible        required  string
  reg               required  cells 5
  backend           required  ref volume|gpt-volume|memory-volume
  zero-copy         optional  flag

guest-console
  compatible        required  string
  reg               required  cells 5
  backend           optional  ref domain
  #address-cells    optional  u32 1..1
  #size-cells       optional  u32 0..0
  > port                  many      guest-console-port

guest-console-port
  reg               required  u32 0..3
  label             optional  string
  backend           optional  ref domain

guest-entropy
  compatible        required  string
  reg               required  cells 5

guest-function
  compatible        required  string
  reg               required  cells 5
  backend           required  ref function
"""

# How a kind is called in messages, where its own name would not do.
NAMES = {
    "uart": "serial port",
    "ata": "ATA channel",
    "i8042": "keyboard controller",
    "function": "PCI function",
    "volume": "volume (partition@)",
    "gpt-volume": "volume in a GUID partition table",
    "memory-volume": "volume in memory (volume@)",
    "port": "switch port",
    "shared": "reserved-memory region",
    "domain": "domain",
    "ioapic": "interrupt controller",
}


class Kind:
    """A kind of node: its properties, its children by name, and by compatible string."""

    def __init__(self, name):
        self.name = name
        self.props = {}  # name: (required, type, values)
        self.children = {}  # node name or "*": (how many, kind or "by-compatible")
        self.compatibles = []  # (pattern, kind)


def kinds():
    """The table as a dictionary of Kind by name."""
    found = {}
    for line in TABLE.splitlines():
        words = line.split()
        if not words:
            continue
        if not line.startswith(" "):
            kind = found[words[0]] = Kind(words[0])
        elif words[0] == ">":
            kind.children[words[1]] = (words[2], words[3])
        elif words[0] == "|":
            kind.compatibles.append((words[1], words[2]))
        else:
            values = words[3] if len(words) > 3 else None
            kind.props[words[0]] = (words[1] == "required", words[2], values)
    return found


def spoken(names):
    """A list of kinds, "a|b", in words."""
    return " or ".join(NAMES.get(name, name) for name in names.split("|"))
