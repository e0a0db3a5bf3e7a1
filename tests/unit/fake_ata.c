/* An ATA disk: see fake_ata.h. Written from ATA/ATAPI-6 and the bus master's specification. */
#include <string.h>

#include "tests/unit/fake_ata.h"

#define CHANNEL 8u /* of the bus master: the second */

struct fake_ata fake_ata;

static struct {
	u8 reg[8][2]; /* what was written last, and before that */
	u8 status;
	u8 error;
	u8 control;
	u8 command; /* under way; 0: none */
	u32 id_at;  /* words of the identification that were read; 256: none are left */
	u8 bm_command;
	u8 bm_status;
	u32 bm_table;
} a;

static void interrupt(void)
{
	if (a.control & 2)
		return;
	a.bm_status |= 4;
	fake_interrupt(0);
}

static u32 port_read_at(u32 port, u32 size)
{
	if (port >= FAKE_MASTER + CHANNEL && port < FAKE_MASTER + 2 * CHANNEL) {
		fake_ata.rules += size != 1;
		return port == FAKE_MASTER + CHANNEL + 2 ? a.bm_status : a.bm_command;
	}
	if (fake_ata.absent)
		return 0xff;
	if (port == FAKE_BLOCK && size == 2) {
		u16 word = a.id_at < 256 ? fake_ata.id[a.id_at] : 0;

		fake_ata.rules += a.id_at >= 256;
		if (++a.id_at == 256)
			a.status = 0x50;
		return word;
	}
	fake_ata.rules += size != 1;
	if (port == FAKE_BLOCK + 1)
		return a.error;
	if (port == FAKE_BLOCK + 7 || port == FAKE_CONTROL)
		return fake_ata.stuck ? 0x80 : a.status;
	fake_ata.rules++;
	return 0;
}

static void control_write(u32 value)
{
	if (value & 4) {
		fake_ata.resets++;
		a.status = 0x80;
		a.command = 0;
		a.id_at = 256;
	} else if (a.control & 4) {
		a.status = 0x50;
		a.error = 1;
	}
	a.control = (u8)value;
}

static void command_write(u32 value)
{
	fake_ata.rules += (a.status & 0x88) != 0 || a.reg[6][0] & 0x10;
	if (value == 0xec) {
		a.status = 0x58;
		a.id_at = 0;
		return;
	}
	a.command = (u8)value;
	a.status = 0xd0;
}

static void port_write_at(u32 port, u32 size, u32 value)
{
	if (port == FAKE_MASTER + CHANNEL) {
		fake_ata.rules += value & 1 && (a.bm_command & 8) != (value & 8);
		a.bm_command = (u8)value;
	} else if (port == FAKE_MASTER + CHANNEL + 2) {
		a.bm_status &= (u8) ~(value & 6);
	} else if (port == FAKE_MASTER + CHANNEL + 4) {
		fake_ata.rules += size != 4 || value % 4 || a.bm_command & 1;
		a.bm_table = value;
	} else if (port == FAKE_CONTROL) {
		control_write(value);
	} else if (port == FAKE_BLOCK + 7) {
		command_write(value);
	} else if (port > FAKE_BLOCK && port < FAKE_BLOCK + 7) {
		a.reg[port - FAKE_BLOCK][1] = a.reg[port - FAKE_BLOCK][0];
		a.reg[port - FAKE_BLOCK][0] = (u8)value;
	} else {
		fake_ata.rules++;
	}
}

void fake_ata_init(u64 sectors, u64 base, bool lba48)
{
	u16 *id = fake_ata.id;
	u64 low = sectors < BIT(28) ? sectors : BIT(28) - 1;

	fake_device_reset();
	memset(&fake_ata, 0, offsetof(struct fake_ata, medium)); /* what it holds is anything */
	memset(&a, 0, sizeof(a));
	fake_ata.base = base;
	id[49] = 0x300;
	memcpy(id + 60, &low, 4);
	id[82] = 0x20;
	id[83] = (u16)(0x5000 | (lba48 ? 0x400 : 0));
	memcpy(id + 100, &sectors, 8);
	id[106] = 0x6003;
	a.status = 0x50;
	a.bm_command = 1; /* the firmware left it running */
	fake_device.port_read = port_read_at;
	fake_device.port_write = port_write_at;
}

/* Moves data between the medium and the regions of the table. Returns false at its end. */
static bool transfer(u64 sector, u32 sectors, bool read)
{
	u64 at = (sector - fake_ata.base) * 512;
	u64 left = sectors * 512ull;
	u64 entry = a.bm_table;

	if (sector < fake_ata.base || at + left > sizeof(fake_ata.medium)) {
		fake_ata.rules++;
		return false;
	}
	for (u32 flags = 0; left > 0 && !(flags & 0x8000); entry += 8) {
		u8 *e = fake_memory(entry, 8);
		u32 address;
		u32 length;
		u8 *memory;

		if (!e)
			return false;
		memcpy(&address, e, 4);
		memcpy(&flags, e + 4, 4);
		length = flags & 0xffff ? flags & 0xffff : 0x10000;
		flags >>= 16;
		fake_ata.rules += address % 2 || length % 2 || address % 0x10000 + length > 0x10000;
		memory = fake_memory(address, length);
		if (!memory || length > left)
			return false;
		if (read)
			memcpy(memory, fake_ata.medium + at, length);
		else
			memcpy(fake_ata.medium + at, memory, length);
		at += length;
		left -= length;
		fake_ata.rules += left == 0 && !(flags & 0x8000);
	}
	return left == 0;
}

static void carry_out(void)
{
	bool large = a.command == 0x25 || a.command == 0x35;
	bool read = a.command == 0xc8 || a.command == 0x25;
	u64 sector = a.reg[3][0] | a.reg[4][0] << 8 | (u64)a.reg[5][0] << 16;
	u32 count = a.reg[2][0];

	if (a.command == 0xe7 || a.command == 0xea)
		return;
	if (large) {
		fake_ata.large++;
		fake_ata.rules += !(fake_ata.id[83] & 0x400);
		sector |= (u64)a.reg[3][1] << 24 | (u64)a.reg[4][1] << 32 | (u64)a.reg[5][1] << 40;
		count |= a.reg[2][1] << 8;
		count = count ? count : 65536;
	} else {
		sector |= (u64)(a.reg[6][0] & 0xf) << 24;
		count = count ? count : 256;
		fake_ata.rules += a.command != 0xc8 && a.command != 0xca;
	}
	fake_ata.rules += !(a.reg[6][0] & 0x40) || !(a.bm_command & 1);
	fake_ata.rules += !!(a.bm_command & 8) != read;
	fake_ata.rules += !transfer(sector, count, read);
}

bool fake_ata_step(enum fake_ata_act act)
{
	if (!a.command || !fake_device.started)
		return false;
	if (act == FAKE_ATA_SILENT) {
		a.command = 0;
		return true;
	}
	if (act == FAKE_ATA_GOOD)
		carry_out();
	a.command = 0;
	a.status = act == FAKE_ATA_ERROR ? 0x51 : act == FAKE_ATA_FAULT ? 0x70 : 0x50;
	a.status |= act == FAKE_ATA_DRQ ? 8 : 0;
	a.bm_status |= act == FAKE_ATA_MASTER ? 2 : 0;
	interrupt();
	return true;
}
