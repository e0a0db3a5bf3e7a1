/*
 * PCI bus 0 behind the configuration ports 0xCF8 to 0xCFF: a frame for functions, and the three of
 * an i440FX machine. Also the reset register 0xCF9, which lies among those ports.
 *
 * PCI Local Bus Specification 3.0, chapter 6 and 3.2.2.3.2; Intel 82441FX (290549) datasheet,
 * chapter 3; Intel 82371SB/AB (PIIX3/PIIX4) datasheets, chapters 3 and 7.
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define PCI_MAGIC   DEVICE_MAGIC('P', 'C', 'I', '0')
#define PCI_VERSION 2

#define PCI_FUNCTIONS 32 /* in all, on bus 0 */
#define PCI_BARS      6
#define PCI_ROM_BAR   6 /* the expansion ROM's register, among the others */
#define PCI_REGIONS   7
#define PCI_CONFIG    256

#define PCI_DEVFN(device, function) ((u8)((device) << 3 | (function)))
#define PCI_DEVFN_HOST              PCI_DEVFN(0, 0)
#define PCI_DEVFN_ISA               PCI_DEVFN(1, 0)
#define PCI_DEVFN_PM                PCI_DEVFN(1, 3)

enum pci_port {
	PCI_ADDRESS = 0xcf8,
	PCI_RESET_CONTROL = 0xcf9, /* as a byte */
	PCI_DATA = 0xcfc,
};

#define PCI_ADDRESS_ENABLE   0x80000000u
#define PCI_ADDRESS_WRITABLE 0x80fffffcu
#define PCI_RESET_CPU        0x04u
#define PCI_RESET_SYSTEM     0x02u
#define PCI_RESET_WRITABLE   0x0eu

enum pci_register { /* type 0 header */
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09, /* three bytes: interface, sub-class, class */
	PCI_CACHE_LINE = 0x0c,
	PCI_LATENCY = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM_ID = 0x2e,
	PCI_ROM = 0x30,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
	PCI_FIRST_CAPABILITY = 0x40,
};

#define PCI_CMD_IO           0x0001u
#define PCI_CMD_MEMORY       0x0002u
#define PCI_CMD_MASTER       0x0004u
#define PCI_CMD_PARITY       0x0040u
#define PCI_CMD_SERR         0x0100u
#define PCI_CMD_INTX_DISABLE 0x0400u
#define PCI_CMD_WRITABLE                                                                           \
	(PCI_CMD_IO | PCI_CMD_MEMORY | PCI_CMD_MASTER | PCI_CMD_PARITY | PCI_CMD_SERR |            \
		PCI_CMD_INTX_DISABLE)
#define PCI_STS_INTX         0x0008u
#define PCI_STS_CAPABILITIES 0x0010u
#define PCI_STS_WRITE_CLEAR  0xf900u
#define PCI_HEADER_MULTI     0x80u

#define PCI_BAR_IO           0x1u
#define PCI_BAR_64           0x4u
#define PCI_BAR_PREFETCH     0x8u
#define PCI_BAR_IO_FLAGS     0x3u
#define PCI_BAR_MEMORY_FLAGS 0xfu
#define PCI_ROM_ENABLE       0x1u

#define PCI_BAR_IO_LIMIT     0x100u /* bytes that an I/O BAR may have */
#define PCI_BAR_MEMORY_MIN   16u
#define PCI_BAR_MEMORY_LIMIT BIT(31)
#define PCI_BAR_64_LIMIT     BIT(40)
#define PCI_ROM_MIN          0x800u
#define PCI_ROM_LIMIT        0x1000000u
#define PCI_CAPABILITY_NEXT  1   /* offset in a capability */
#define PCI_CAPABILITY_MAX   192 /* bytes */

/* Registers of the three functions. */
#define PCI_PAM0         0x59 /* host bridge, 7 bytes: who answers for 0xC0000-0xFFFFF */
#define PCI_PAM_COUNT    7
#define PCI_SMRAM        0x72
#define PCI_PIRQ         0x60 /* ISA bridge, 4 bytes: ISA line of INTA-INTD; bit 7: none */
#define PCI_PIRQ_NONE    0x80u
#define PCI_PIRQ_LINE    0x0fu
#define PCI_PIRQS        4
#define PCI_PIRQ_ALLOWED 0xdef8u /* ISA lines that a PIRQ may be routed to */
#define PCI_GSI_INTX     16      /* I/O APIC pin of the first PIRQ; the other three follow */
#define PCI_PM_BASE      0x40    /* PM function */
#define PCI_PM_BASE_MASK 0xffc0u
#define PCI_PM_ACTIVATE  0x58 /* DEVACTB */
#define PCI_PM_APMC_EN   0x02000000u
#define PCI_PM_REGION    0x80 /* PMREGMISC */
#define PCI_PM_ENABLE    0x01u

struct pci_bar {
	u64 address; /* where it decodes now; valid if mapped */
	u64 size;    /* bytes, a power of two; 0: none, or the upper half of a 64-bit one */
	u8 flags;    /* PCI_BAR_*; the low bits of the register */
	u8 mapped;
	u8 reserved[6];
};

struct pci_function {
	u8 config[PCI_CONFIG];
	u8 writable[PCI_CONFIG];    /* bits that a write stores */
	u8 write_clear[PCI_CONFIG]; /* bits that writing 1 clears */
	u8 initial[PCI_CONFIG];     /* config at reset */
	struct pci_bar bar[PCI_REGIONS];
	u8 present;
	u8 devfn;
	u8 intx;            /* its interrupt pin is asserted */
	u8 capability_end;  /* first free byte for capabilities */
	u8 capability_last; /* where the last one begins; 0: there is none */
	u8 reserved[3];
};

struct pci {
	struct device_header header;
	u32 address; /* 0xCF8 */
	u8 reset_control;
	u8 functions;  /* in use */
	u16 isa_lines; /* bit n: line n was last set asserted */
	u8 pirqs;      /* bit n: PIRQ n is asserted */
	u8 reserved[7];
	u8 index[256]; /* by devfn: function + 1; 0: none */
	struct pci_function function[PCI_FUNCTIONS];
};
DEVICE_STATE(struct pci);

struct pci_identity {
	u16 vendor;
	u16 device;
	u16 subsystem_vendor;
	u16 subsystem;
	u32 class_code; /* class << 16 | sub-class << 8 | interface */
	u8 revision;
	u8 interrupt_pin; /* 0: none, 1-4: INTA-INTD */
};

/* An empty bus with the host bridge, ISA bridge and PM function. */
void pci_init(struct pci *s);

/* BARs unmapped, configuration as it was set up. Reports changes by pci_bar_changed. */
void pci_reset(struct machine *m, struct pci *s);

/* The same of one function, whose pin is released. */
void pci_function_reset(struct machine *m, struct pci *s, struct pci_function *f);

/* Ports 0xCF8 to 0xCFF. */
u32 pci_read(struct machine *m, struct pci *s, u16 port, unsigned size);
void pci_write(struct machine *m, struct pci *s, u16 port, unsigned size, u32 value);

/*
 * Configuration space of one function. offset + size is at most 256 (else ones, no effect).
 * The accesses that the ports lead to, and what an ECAM window would use.
 */
u32 pci_config_read(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size);
void pci_config_write(
	struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size, u32 value);

/* Setting up, before the guest runs. */

/* Adds a function; NULL if the place is taken or the table is full. */
struct pci_function *pci_add(struct pci *s, u8 devfn, const struct pci_identity *identity);

/*
 * Gives it BAR `number` (0-5; 0-4 if PCI_BAR_64) of `size` bytes, a power of two: I/O 4 to 256,
 * memory 16 up to 2^31 (2^40 if PCI_BAR_64). Returns false if that cannot be.
 */
bool pci_set_bar(struct pci_function *f, unsigned number, u64 size, u8 flags);

/*
 * Gives it an expansion ROM of `size` bytes, a power of two from 2^11 to 2^24: a memory BAR by the
 * number PCI_ROM_BAR, which decodes while its own enable bit is set too (PCI Local Bus
 * Specification 3.0, 6.2.5.2). Returns false if that cannot be.
 */
bool pci_set_rom(struct pci_function *f, u64 size);

/*
 * Appends a capability of `size` bytes (4-192) with its ID; the rest is 0 and read-only. Returns
 * its offset, or 0 if there is no room. The caller fills it with pci_set.
 */
u8 pci_add_capability(struct pci_function *f, u8 id, u8 size);

/* Sets `size` (1, 2, 4) bytes at `offset` to a reset value, and which of its bits can be written.
 */
void pci_set(struct pci_function *f, u8 offset, unsigned size, u32 value, u32 writable);

/* While the guest runs. */

struct pci_function *pci_find(struct pci *s, u8 devfn); /* NULL: none */

/* Reads and sets registers from the device's side, whatever the masks say. */
u32 pci_get(const struct pci_function *f, u8 offset, unsigned size);
void pci_put(struct pci_function *f, u8 offset, unsigned size, u32 value);

/*
 * Sets a function's INTx pin. Pin p (0: INTA) of device d goes to PIRQ (d + p - 1) mod 4, as
 * stock firmware expects. A PIRQ, the OR of its pins, drives I/O APIC pin 16 + PIRQ, and the ISA
 * line that its route register names.
 */
void pci_intx(struct machine *m, struct pci *s, u8 devfn, bool level);

/* Sets the lines anew after pins or routes changed; pci_intx and writes do it themselves. */
void pci_update_lines(struct machine *m, struct pci *s);

/* The offset of the register of BAR `number`, which may be PCI_ROM_BAR. */
u32 pci_bar_register(unsigned number);

/* Whether the function may reach memory (bus-master bit). */
bool pci_is_master(const struct pci_function *f);

/* Base of the PM block in I/O space; 0 while it is not enabled. */
u16 pci_pm_base(struct pci *s);

/*
 * For direct boot: does what firmware would: PIRQ routes, PM base, interrupt lines; BARs one after
 * another from PCI_IO_FIRST and PCI_MEMORY_FIRST on, with their decoding enabled, but for ROMs'.
 */
#define PCI_IO_FIRST     0xc000u
#define PCI_IO_END       0x10000u
#define PCI_MEMORY_FIRST 0xe0000000u
#define PCI_MEMORY_END   0xfe000000u
void pci_configure(struct machine *m, struct pci *s, u16 pm_base);

/* ISA lines that the route registers name now: what the ELCR must have as level. */
u16 pci_routed_lines(struct pci *s);

/* The VMM provides these. */

/*
 * A BAR decodes at another place, or no longer, or for the first time. `bar->mapped` tells whether
 * it is decoded now, at bar->address; `old` and `was_mapped` where it was before. An I/O BAR's
 * address fits in 16 bits with its size; a memory BAR's may be anywhere below 2^64, RAM too: the
 * VMM leaves ranges alone that are not in its windows.
 */
void pci_bar_changed(
	struct machine *m, struct pci *s, u8 devfn, unsigned number, u64 old, bool was_mapped);

/* The guest wrote these bytes of a function's configuration space, which hold the new value. */
void pci_written(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size);

/*
 * The guest is about to read these bytes of a function's configuration space: a device whose bytes
 * there are not kept by pci_put puts them now.
 */
void pci_reading(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size);
