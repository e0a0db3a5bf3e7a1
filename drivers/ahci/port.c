/* An AHCI host bus adapter and one of its ports: see port.h. Sections are of AHCI 1.3.1. */
#include "drivers/ahci/port.h"

#define STEP_US     1000u
#define RESET_US    1000000u  /* 10.4.3 */
#define FIRMWARE_US 25000u    /* 10.6.3: for its BIOS busy bit, */
#define RELEASE_US  2000000u  /* and for the end of what it does then */
#define STOP_US     500000u   /* 10.3.2 */
#define COMRESET_US 2000u     /* 10.4.2: 1 ms at least */
#define ABSENT_US   200000u   /* 10.1.2 has 10 ms, for links that are quick */
#define LINK_US     2000000u  /* for a device that is seen, and does not talk yet */
#define READY_US    31000000u /* ACS-3, 9.2: a disk may take so long after a reset */
#define IDENTIFY_US 10000000u
#define ALL         0xffffffffu

#define PORT_IE_ALL                                                                                \
	(PORT_IS_DHRS | PORT_IS_PSS | PORT_IS_DSS | PORT_IS_SDBS | PORT_IS_FATAL | PORT_IS_LOST)

static u32 hba_read(const struct ahci_port *p, u32 offset)
{
	return mmio_read32(p->hba + offset);
}

static void hba_write(const struct ahci_port *p, u32 offset, u64 value)
{
	mmio_write32(p->hba + offset, (u32)value);
}

static void port_write(const struct ahci_port *p, u32 offset, u64 value)
{
	mmio_write32(p->port + offset, (u32)value);
}

/* Waits until the bits of `mask` in a register at `at` are `wanted`. */
static bool wait_for(const struct ahci_port *p, const volatile u8 *at, u64 mask, u64 wanted, u64 us)
{
	for (u64 i = 0; i <= us / STEP_US; i++) {
		u32 value = mmio_read32(at);

		if (value != HBA_NONE && (value & mask) == wanted)
			return true;
		device_wait(p->device, STEP_US);
	}
	return false;
}

/* --- the HBA --- */

/* A firmware that keeps the HBA beyond its time loses it. */
static void take_from_firmware(const struct ahci_port *p)
{
	const volatile u8 *at = p->hba + HBA_BOHC;

	if (!(hba_read(p, HBA_CAP2) & HBA_CAP2_BOH) || !(mmio_read32(at) & HBA_BOHC_BOS))
		return;
	hba_write(p, HBA_BOHC, mmio_read32(at) | HBA_BOHC_OOS);
	if (!wait_for(p, at, HBA_BOHC_BOS, 0, FIRMWARE_US) && mmio_read32(at) & HBA_BOHC_BB)
		wait_for(p, at, HBA_BOHC_BOS, 0, RELEASE_US);
}

bool ahci_reset_hba(struct ahci_port *p)
{
	p->flying = 0;
	p->queued = 0;
	hba_write(p, HBA_GHC, HBA_GHC_AE);
	hba_write(p, HBA_GHC, HBA_GHC_AE | HBA_GHC_HR);
	if (!wait_for(p, p->hba + HBA_GHC, HBA_GHC_HR, 0, RESET_US)) {
		device_log(p->device, "the HBA does not come out of its reset");
		return false;
	}
	hba_write(p, HBA_GHC, HBA_GHC_AE);
	return true;
}

bool ahci_open(struct ahci_port *p, struct device *d)
{
	u64 fis_bytes = AHCI_FIS_BYTES;
	void *fis;

	*p = (struct ahci_port){.device = d};
	p->hba = device_registers(d, HBA_BAR, 0, HBA_BYTES);
	if (!p->hba) {
		device_log(d, "it has not the registers of an AHCI controller");
		return false;
	}
	p->cap = hba_read(p, HBA_CAP);
	p->slots = HBA_CAP_NCS(p->cap) + 1;
	if (p->cap == HBA_NONE) {
		device_log(d, "nothing answers");
		return false;
	}
	take_from_firmware(p);
	if (!ahci_reset_hba(p))
		return false;
	p->list = device_alloc(d, AHCI_SLOTS_MAX * sizeof(*p->list),
		AHCI_SLOTS_MAX * sizeof(*p->list), &p->list_bus);
	fis = device_alloc(d, fis_bytes, fis_bytes, &p->fis_bus);
	p->table = device_alloc(
		d, AHCI_SLOTS_MAX * sizeof(*p->table), sizeof(*p->table), &p->table_bus);
	p->page = device_alloc(d, ATA_ID_WORDS * 2, ATA_ID_WORDS * 2, &p->page_bus);
	if (!p->list || !fis || !p->table || !p->page)
		return false;
	if (!(p->cap & HBA_CAP_S64A) && p->page_bus + PAGE_SIZE > BIT(32)) {
		device_log(d, "its memory lies above 4 GiB, which it does not reach");
		return false;
	}
	return true;
}

/* --- the port --- */

/* 10.3.2 */
static bool stop(const struct ahci_port *p)
{
	port_write(p, PORT_CMD, ahci_register(p, PORT_CMD) & ~PORT_CMD_ST);
	if (wait_for(p, p->port + PORT_CMD, PORT_CMD_CR, 0, STOP_US))
		return true;
	device_log(p->device, "port %u does not stop", p->number);
	return false;
}

/* The bits of PxIS that PxSERR holds go with them. */
static void clear_errors(const struct ahci_port *p)
{
	port_write(p, PORT_SERR, ALL);
	port_write(p, PORT_IS, ALL);
	hba_write(p, HBA_IS, BIT(p->number));
}

/* Waits for the link (10.1.2). The disk's first FIS has to be asked for: its bit in PxSERR is
 * cleared. */
static bool wait_link(const struct ahci_port *p)
{
	const volatile u8 *at = p->port + PORT_SSTS;

	if (!wait_for(p, at, PORT_SSTS_DET, PORT_DET_LINK, ABSENT_US) &&
		((mmio_read32(at) & PORT_SSTS_DET) == PORT_DET_NONE ||
			!wait_for(p, at, PORT_SSTS_DET, PORT_DET_LINK, LINK_US)))
		return false;
	port_write(p, PORT_SERR, ALL);
	return true;
}

/* 10.4.2: resets the port, which is stopped, and the disk. False: there is nothing. */
static bool comreset(const struct ahci_port *p)
{
	port_write(p, PORT_SCTL, PORT_SCTL_IPM | PORT_SCTL_RST);
	device_wait(p->device, COMRESET_US);
	port_write(p, PORT_SCTL, PORT_SCTL_IPM);
	return wait_link(p);
}

static bool wait_ready(const struct ahci_port *p)
{
	if (wait_for(p, p->port + PORT_TFD, ATA_STATUS_BSY | ATA_STATUS_DRQ, 0, READY_US))
		return true;
	device_log(p->device, "the disk of port %u does not become ready: status %#x", p->number,
		ahci_register(p, PORT_TFD) & 0xff);
	return false;
}

/* 10.3.1 */
static void run(const struct ahci_port *p)
{
	clear_errors(p);
	port_write(p, PORT_IE, PORT_IE_ALL);
	port_write(p, PORT_CMD, ahci_register(p, PORT_CMD) | PORT_CMD_ST);
}

/* 10.1.2: starts port `number` if a disk is there. */
static bool start(struct ahci_port *p, u32 number)
{
	u64 power = PORT_CMD_SUD | PORT_CMD_POD | PORT_CMD_WAKE;

	p->number = number;
	p->port = device_registers(p->device, HBA_BAR, HBA_PORT(number), HBA_PORT_BYTES);
	if (!p->port || !stop(p))
		return false;
	port_write(p, PORT_CLB, p->list_bus);
	port_write(p, PORT_CLBU, p->list_bus >> 32);
	port_write(p, PORT_FB, p->fis_bus);
	port_write(p, PORT_FBU, p->fis_bus >> 32);
	port_write(
		p, PORT_CMD, (ahci_register(p, PORT_CMD) & ~PORT_CMD_ICC) | power | PORT_CMD_FRE);
	if (comreset(p) && wait_ready(p) && ahci_register(p, PORT_SIG) == PORT_SIG_DISK) {
		run(p);
		return true;
	}
	/* it may not write into the memory that the next port gets */
	port_write(p, PORT_CMD, ahci_register(p, PORT_CMD) & ~PORT_CMD_FRE);
	wait_for(p, p->port + PORT_CMD, PORT_CMD_FR, 0, STOP_US);
	return false;
}

bool ahci_start(struct ahci_port *p, u32 number)
{
	u32 ports = hba_read(p, HBA_PI);

	for (u32 i = 0; i < HBA_PORTS_MAX; i++) {
		if (!(ports & BIT(i)) || (number != HBA_NONE && number != i) || !start(p, i))
			continue;
		hba_write(p, HBA_GHC, HBA_GHC_AE | HBA_GHC_IE);
		return true;
	}
	if (number == HBA_NONE)
		device_log(p->device, "there is no disk on any of its ports (%#x)", ports);
	else
		device_log(p->device, "there is no disk on port %u", number);
	return false;
}

bool ahci_restart(struct ahci_port *p, bool reset)
{
	p->flying = 0;
	p->queued = 0;
	if (!stop(p))
		return false;
	clear_errors(p);
	if (reset || ahci_register(p, PORT_TFD) & (ATA_STATUS_BSY | ATA_STATUS_DRQ)) {
		if (!comreset(p)) {
			device_log(p->device, "the disk of port %u is gone", p->number);
			return false;
		}
		if (!wait_ready(p))
			return false;
	}
	run(p);
	return true;
}

/* --- commands --- */

void ahci_region(struct ahci_port *p, u32 slot, u32 n, u64 bus, u32 length)
{
	p->table[slot].region[n] = (struct ahci_region){
		.address = (u32)bus, .address_high = (u32)(bus >> 32), .last = length - 1};
}

void ahci_prepare(struct ahci_port *p, u32 slot, const struct ahci_command *c, u32 regions)
{
	/* ACS-3, 4.4 and 7.16: a queued command has its count where others have the feature, and
	 * its tag where they have the count. */
	u32 feature = c->queued ? c->count : c->feature;
	u32 count = c->queued ? slot << 3 : c->count;
	struct ahci_header *h = &p->list[slot];
	u64 bus = p->table_bus + slot * sizeof(*p->table);

	p->table[slot].fis = (struct ahci_fis){
		.type = AHCI_FIS_TYPE,
		.flags = AHCI_FIS_COMMAND,
		.command = c->code,
		.feature = (u8)feature,
		.feature_high = (u8)(feature >> 8),
		.lba = {(u8)c->lba, (u8)(c->lba >> 8), (u8)(c->lba >> 16)},
		.lba_high = {(u8)(c->lba >> 24), (u8)(c->lba >> 32), (u8)(c->lba >> 40)},
		.device = c->device,
		.count = (u8)count,
		.count_high = (u8)(count >> 8),
	};
	h->flags = AHCI_FIS_WORDS | (c->write ? (u32)AHCI_WRITE : 0) | AHCI_REGIONS(regions);
	h->moved = 0;
	/* each time anew: the HBA can write to the list, and a reset is to mend that */
	h->table = (u32)bus;
	h->table_high = (u32)(bus >> 32);
}

void ahci_issue(struct ahci_port *p, u32 slots, bool queued)
{
	p->flying |= slots;
	if (queued) {
		p->queued |= slots;
		port_write(p, PORT_SACT, slots);
	}
	port_write(p, PORT_CI, slots);
}

struct ahci_events ahci_take(struct ahci_port *p)
{
	u32 is = ahci_register(p, PORT_IS);
	u32 busy;
	u32 done;

	/* the order of 5.5.3: what ends from here on sets the bits again */
	port_write(p, PORT_IS, is);
	hba_write(p, HBA_IS, BIT(p->number));
	busy = ahci_register(p, PORT_CI) | ahci_register(p, PORT_SACT);
	/* an error is told of before the end of its command */
	is |= ahci_register(p, PORT_IS) & (PORT_IS_FATAL | PORT_IS_LOST);
	done = p->flying & ~busy;
	p->flying &= ~done;
	p->queued &= ~done;
	return (struct ahci_events){is, done};
}

bool ahci_identify(struct ahci_port *p, struct ata_identity *out)
{
	static const struct ahci_command c = {.code = ATA_IDENTIFY};
	struct ahci_events e = {0, 0};
	u16 words[ATA_ID_WORDS];
	const char *why;

	ahci_region(p, 0, 0, p->page_bus, sizeof(words));
	ahci_prepare(p, 0, &c, 1);
	ahci_issue(p, BIT(0), false);
	for (u32 i = 0; i < IDENTIFY_US / STEP_US && !e.done && !(e.is & PORT_IS_FATAL); i++) {
		device_wait(p->device, STEP_US);
		e = ahci_take(p);
	}
	if (!e.done || e.is & PORT_IS_FATAL) {
		device_log(p->device, "the disk does not identify itself: status %#x",
			ahci_register(p, PORT_TFD) & 0xffff);
		return false;
	}
	memcpy(words, p->page, sizeof(words));
	why = ata_identify(words, out);
	if (why)
		device_log(p->device, "the disk: %s", why);
	return !why;
}
