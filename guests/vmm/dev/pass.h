/*
 * A function of the machine's own that the guest has: its configuration space as the guest sees it,
 * on a PCI function of dev/pci.h.
 *
 * The identity, the base address registers' sizes and the messages are the real function's; where
 * they decode, the command register and the messages' addresses are the guest's own, and nothing of
 * them reaches the function as it was written. Capabilities for MSI-X, else MSI, power management
 * and PCI Express are shown, others are not: what they do is not known. The function stands on a
 * conventional bus, so as an Express one it is an integrated endpoint; of its configuration space
 * there are 256 bytes, and no way to its extended capabilities. Its expansion ROM is a copy, which
 * cannot be written.
 *
 * PCI Local Bus Specification 3.0, chapter 6; PCI Bus Power Management 1.2, 3.2; PCI Express Base
 * Specification 4.0, 7.5.3.
 */
#pragma once

#include "guests/vmm/dev/msix.h"

#define PASS_MAGIC   DEVICE_MAGIC('P', 'A', 'S', 'S')
#define PASS_VERSION 1

#define PASS_VECTORS 16u /* messages that a guest is offered, of however many there are */
#define PASS_TRAPS   2u  /* MSI-X table, pending bits */

/* Bytes of a memory register that only the VMM touches, rounded to whole pages; end 0: none. */
struct pass_trap {
	u32 bar;
	u32 reserved;
	u64 start, end;
};

struct pass {
	struct device_header header;
	u64 pending; /* messages that came and could not be sent to the guest */
	u64 wanted;  /* messages that the function has been asked to send since its reset */
	u32 vectors; /* messages that the guest is offered; 0: it has a line, if anything */
	u32 entries; /* MSI-X: of the function's table */
	u32 table;   /* its offset, and that of the pending bits */
	u32 pba;
	u8 present;
	u8 number; /* by which the VMM knows it */
	u8 devfn;
	u8 msix; /* where the capabilities are in configuration space; 0: there is none */
	u8 msi;
	u8 express;
	u8 dma;    /* the guest lets it do DMA: its bus-master bit */
	u8 raised; /* its line interrupted, and the guest has not acknowledged */
	u8 table_bar;
	u8 pba_bar;
	u8 reserved[2];
	struct pass_trap trap[PASS_TRAPS];
	struct msix_vector vector[PASS_VECTORS]; /* MSI: the first, made of the capability */
};
DEVICE_STATE(struct pass);

/* A base address register as it is found, the last one the ROM's; size 0: there is none. */
struct pass_bar {
	u64 size; /* bytes, a power of two */
	u8 flags; /* PCI_BAR_* */
};

/*
 * Makes the guest's function at `devfn` of the function `number`, with the registers `bar`; `line`:
 * it has an interrupt line. False: the place is taken, or its registers or capabilities are such
 * that they cannot be shown.
 */
bool pass_init(struct machine *m, struct pass *p, struct pci *bus, u8 number, u8 devfn,
	const struct pass_bar bar[PCI_REGIONS], bool line);

/* Configuration space was written: pci_written of pci.h. */
void pass_written(struct machine *m, struct pass *p, struct pci *bus, u32 offset, unsigned size);

/*
 * An access of 1, 2 or 4 bytes at `offset` of base address register `bar` that the guest could not
 * make itself: to MSI-X it is answered here, others go to the function (pass_register_*), but
 * writes to its ROM, which have no effect.
 */
u32 pass_read(struct machine *m, struct pass *p, u32 bar, u64 offset, unsigned size);
void pass_write(struct machine *m, struct pass *p, struct pci *bus, u32 bar, u64 offset,
	unsigned size, u32 value);

/*
 * The next part of memory register `bar`, of `size` bytes, from *start on that the guest may have
 * mapped: whole pages without MSI-X. Sets *start and *end; false: there is no more.
 */
bool pass_direct(const struct pass *p, u32 bar, u64 size, u64 *start, u64 *end);

/* Message `vector` came; the line did. */
void pass_message(struct machine *m, struct pass *p, struct pci *bus, u32 vector);
void pass_line(struct machine *m, struct pass *p, struct pci *bus);

/* An interrupt of level kind has ended: a line that it may have been is released, and comes again
 * if the function still asserts it. */
void pass_line_end(struct machine *m, struct pass *p, struct pci *bus);

/* A fresh process has the function: brings it to the state that the guest knows. Messages that may
 * have been lost in between are sent once. */
void pass_resume(struct machine *m, struct pass *p, struct pci *bus);

/* --- the VMM provides these, and a fake does in unit tests; by the function's number --- */

/* `size` (1, 2, 4) bytes of its own configuration space at `offset`, a multiple of it. */
u32 pass_config(struct machine *m, u8 number, u32 offset, unsigned size);

/* Where its capability `id` is; 0: it has none. */
u32 pass_capability(struct machine *m, u8 number, u8 id);

/* Lets it do DMA, with its messages as they were asked for; or stops both. */
void pass_dma(struct machine *m, u8 number, bool on);

/* Resets it and waits until that is over; DMA is stopped then and no message is asked for. */
void pass_reset(struct machine *m, u8 number);

/* Can it be reset alone? */
bool pass_can_reset(struct machine *m, u8 number);

/* Has message `vector` come as pass_message from now on. */
void pass_want(struct machine *m, u8 number, u32 vector);

/* Lets its line interrupt again. */
void pass_line_done(struct machine *m, u8 number);

/* An access to its registers, in memory or ports; reads of its ROM. */
u32 pass_register_read(struct machine *m, u8 number, u32 bar, u64 offset, unsigned size);
void pass_register_write(
	struct machine *m, u8 number, u32 bar, u64 offset, unsigned size, u32 value);
