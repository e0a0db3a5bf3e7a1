/*
 * An AHCI host bus adapter and one of its ports (Serial ATA AHCI 1.3.1): resets, command slots, the
 * end of commands. Errors are logged here.
 *
 * The HBA may be hostile: what it writes into memory (received FISes, PRDBC) is not used, but for
 * the identification; its registers can only end commands that are under way.
 */
#pragma once

#include "drivers/ahci/regs.h"
#include "drivers/disk/ata.h"
#include "drivers/lib/device.h"

struct ahci_port {
	struct device *device;
	volatile u8 *hba;  /* registers */
	volatile u8 *port; /* of the port in use */
	u32 number;
	u32 cap;
	u32 slots;
	struct ahci_header *list;
	u64 list_bus;
	u64 fis_bus;
	struct ahci_table *table; /* one for each slot */
	u64 table_bus;
	u16 *page; /* for identification and ranges to discard */
	u64 page_bus;
	u32 flying; /* slots under way, a bit each */
	u32 queued; /* of them those of queued commands */
};

/* An ATA command. */
struct ahci_command {
	u8 code;
	u8 device; /* bits of the device register beside those of the LBA's use */
	u16 feature;
	u16 count;
	u64 lba;
	bool queued; /* the HBA and the disk know it as one */
	bool write;
};

/* Takes up the opened device: takes the HBA from the firmware (10.6.3) and resets it (10.4.3), so
 * that nothing runs; then memory. The device was not started. */
bool ahci_open(struct ahci_port *p, struct device *d);

/* Resets the HBA; then no port runs. */
bool ahci_reset_hba(struct ahci_port *p);

/* Starts port `number`, or the first with a disk if it is HBA_NONE; then commands can be issued,
 * and their ends interrupt. The device was started, the HBA reset. False, with a line in the log:
 * there is no disk. */
bool ahci_start(struct ahci_port *p, u32 number);

/* Reads what the disk says of itself. Nothing is under way. */
bool ahci_identify(struct ahci_port *p, struct ata_identity *out);

/* Appends `length` bytes (even, at most AHCI_REGION_MOST) at `bus` to the data of the slot's
 * command, whose n-th region (below AHCI_TABLE_REGIONS) that is. */
void ahci_region(struct ahci_port *p, u32 slot, u32 n, u64 bus, u32 length);

/* Puts the command, with data of `regions` regions, in the slot, which is not under way. */
void ahci_prepare(struct ahci_port *p, u32 slot, const struct ahci_command *c, u32 regions);

/* Issues what stands in these slots (3.3.13, 3.3.14): queued commands, if none else is under way;
 * or one that is not, if none is. */
void ahci_issue(struct ahci_port *p, u32 slots, bool queued);

/* What has happened: enum values of PORT_IS, which are cleared, and the slots that are done. */
struct ahci_events {
	u32 is;
	u32 done;
};
struct ahci_events ahci_take(struct ahci_port *p);

/*
 * After an error (6.2.2): the port is stopped and started again, which ends all that is under way;
 * with `reset`, or if the disk is still busy, by COMRESET. False, with a line in the log: that does
 * not help, and the HBA must be reset.
 */
bool ahci_restart(struct ahci_port *p, bool reset);

/* PxTFD, PxSERR and PxSSTS, for the log. */
static inline u32 ahci_register(const struct ahci_port *p, u32 offset)
{
	return mmio_read32(p->port + offset);
}
