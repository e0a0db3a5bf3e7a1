/* An AHCI controller: see fake_ahci.h. Written from AHCI 1.3.1 and ACS-3, not from the driver. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_ahci.h"

#define PORTS 3u

struct fake_ahci fake_ahci;

static struct {
	u32 ghc;
	u32 is;
	u32 bohc;
} h;

static struct port {
	u64 clb;
	u64 fb;
	u32 is;
	u32 ie;
	u32 cmd;
	u32 tfd;
	u32 sig;
	u32 det;
	u32 sctl;
	u32 serr;
	u32 sact;
	u32 ci;
	bool halted; /* an error has stopped the list (5.3.8: ERR:Fatal) */
	bool queue_failed;
} port[PORTS];

static struct port *const disk = &port[FAKE_AHCI_PORT];

/* 10.7.2: a message for each new cause. */
static void interrupt(u32 number, u32 bits)
{
	struct port *p = &port[number];

	p->is |= bits;
	if (!(p->is & p->ie))
		return;
	h.is |= 1u << number;
	if (h.ghc & 2)
		fake_interrupt(0);
}

static bool has_device(u32 number)
{
	return number == 0 || (number == FAKE_AHCI_PORT && !fake_ahci.absent);
}

/* The device's first FIS after a reset, which is received only with FRE. */
static void greet(u32 number)
{
	struct port *p = &port[number];

	p->tfd = fake_ahci.stuck ? 0x80 : 0x150;
	p->sig = number == 0 ? 0xeb140101 : 0x101;
}

static void link_up(u32 number)
{
	struct port *p = &port[number];

	p->det = has_device(number) && p->cmd & 2 ? 3 : 0;
	p->serr |= p->det ? 1u << 26 | 1u << 16 : 0;
	if (p->det && p->cmd & 0x10)
		greet(number);
}

static void identify(struct port *p)
{
	u8 *header = fake_memory(p->clb, 32);
	const u8 *table;
	u64 at;
	u8 *to;

	if (!header)
		return;
	memcpy(&at, header + 8, 8);
	table = fake_memory(at, 144);
	if (!table)
		return;
	memcpy(&at, table + 128, 8);
	fake_ahci.rules += (table[140] | (u32)table[141] << 8) != 511 || table[15] != 0;
	to = fake_memory(at, 512);
	if (!to)
		return;
	memcpy(to, fake_ahci.id, 512);
	p->ci = 0;
	interrupt(FAKE_AHCI_PORT, 2);
}

static u8 *slot_table(const struct port *p, u32 slot, u32 *flags)
{
	u8 *header = fake_memory(p->clb + slot * 32ull, 32);
	u64 at;

	if (!header)
		return NULL;
	memcpy(flags, header, 4);
	memcpy(&at, header + 8, 8);
	fake_ahci.rules += at % 128 != 0 || (*flags & 0x1f) != 5;
	return fake_memory(at, 128 + 16 * (*flags >> 16));
}

static bool is_queued(u8 code)
{
	return code == 0x60 || code == 0x61;
}

/* Commands that are issued are looked at once: what may stand beside what. */
static void issue(struct port *p, u32 slots)
{
	u32 flags;

	fake_ahci.rules += !(p->cmd & 1) || !fake_device.started || !slots || p->ci & slots;
	fake_ahci.rules += p->tfd & 0x88 || slots >> (fake_ahci.cap >> 8 & 31) > 1;
	p->ci |= slots;
	for (u32 i = 0; i < 32; i++) {
		const u8 *table = slots >> i & 1 ? slot_table(p, i, &flags) : NULL;

		if (!table)
			continue;
		fake_ahci.rules += table[0] != 0x27 || table[1] != 0x80;
		fake_ahci.rules += is_queued(table[2]) != (p->sact >> i & 1);
		fake_ahci.rules += !is_queued(table[2]) && (p->ci & (p->ci - 1) || p->sact);
		fake_ahci.rules += is_queued(table[2]) && (p->ci | p->sact) != p->sact;
		if (table[2] == 0xec && !fake_ahci.mute && p == disk)
			identify(p);
	}
}

static void command(u32 number, u32 value)
{
	struct port *p = &port[number];
	u32 now = p->cmd & 0xffff;

	/* 10.3.1: the list runs only on a disk that is ready, with memory for its FISes */
	if (value & 1 && !(now & 1)) {
		fake_ahci.rules += p->tfd & 0x88 || p->det != 3 || !(value & 0x10) || p->clb == 0;
		fake_ahci.rules += p->clb % 1024 != 0 || p->fb % 256 != 0 || p->serr || p->is;
		p->halted = false;
		p->ci = 0;
		p->sact = 0;
	}
	if (!(value & 1) && now & 1) {
		p->ci = 0;
		p->sact = 0;
	}
	fake_ahci.rules += !(value & 0x10) && now & 0x10 && value & 1;
	p->cmd = value & 0xf000003f;
	p->cmd |= value & 1 || (fake_ahci.never_stops && now & 0x8000) ? 0x8000 : 0;
	p->cmd |= value & 0x10 ? 0x4000 : 0;
	if (p->cmd & 0x10 && !(now & 0x10))
		link_up(number);
}

static void control(u32 number, u32 value)
{
	struct port *p = &port[number];

	fake_ahci.rules += p->cmd & 1 && (value & 0xf) != (p->sctl & 0xf);
	if ((value & 0xf) == 1) {
		p->det = 0;
		p->tfd = 0x7f;
		p->sig = ~0u;
		p->queue_failed = false;
	} else if ((p->sctl & 0xf) == 1) {
		fake_ahci.port_resets += number == FAKE_AHCI_PORT;
		link_up(number);
	}
	p->sctl = value;
}

static void reset_hba(void)
{
	fake_ahci.hba_resets++;
	for (u32 i = 0; i < PORTS; i++)
		port[i] = (struct port){.tfd = 0x7f, .sig = ~0u, .sctl = 0};
	h.ghc = fake_ahci.never_reset ? 0x80000001 : 0x80000000;
	h.is = 0;
}

static u32 port_read_at(u32 number, u32 at)
{
	const struct port *p = &port[number % PORTS];

	if (number >= PORTS)
		return 0;
	switch (at) {
	case 0x10:
		return p->is | (p->serr >> 26 & 1) << 6 | (p->serr >> 16 & 1) << 22;
	case 0x14:
		return p->ie;
	case 0x18:
		return p->cmd;
	case 0x20:
		return p->tfd;
	case 0x24:
		return p->sig;
	case 0x28:
		return p->det ? 0x120 | p->det : 0;
	case 0x2c:
		return p->sctl;
	case 0x30:
		return p->serr;
	case 0x34:
		return p->sact;
	case 0x38:
		return p->ci;
	default:
		fake_ahci.rules++;
		return 0;
	}
}

static u32 reg_read(u32 offset, u32 size)
{
	fake_ahci.rules += size != 4;
	if (offset >= 0x100)
		return port_read_at((offset - 0x100) / 0x80, offset % 0x80);
	switch (offset) {
	case 0x00:
		return fake_ahci.cap;
	case 0x04:
		return h.ghc;
	case 0x08:
		return h.is;
	case 0x0c:
		return 7;
	case 0x24:
		return fake_ahci.firmware;
	case 0x28:
		return h.bohc;
	default:
		fake_ahci.rules++;
		return 0;
	}
}

static void half(u64 *whole, bool high, u32 value)
{
	*whole = high ? (*whole & 0xffffffffu) | (u64)value << 32
		      : (*whole & ~0xffffffffull) | value;
}

static void port_write_at(u32 number, u32 at, u32 value)
{
	struct port *p = &port[number % PORTS];

	if (number >= PORTS) {
		fake_ahci.rules++;
		return;
	}
	fake_ahci.rules += at < 0x10 && p->cmd & 0x11;
	switch (at) {
	case 0x00:
	case 0x04:
		half(&p->clb, at == 4, value);
		break;
	case 0x08:
	case 0x0c:
		half(&p->fb, at == 0xc, value);
		break;
	case 0x10:
		p->is &= ~value;
		break;
	case 0x14:
		p->ie = value;
		break;
	case 0x18:
		command(number, value);
		break;
	case 0x2c:
		control(number, value);
		break;
	case 0x30:
		p->serr &= ~value;
		break;
	case 0x34:
		fake_ahci.rules += !(p->cmd & 1) || p->sact & value || !(fake_ahci.cap >> 30 & 1);
		p->sact |= value;
		break;
	case 0x38:
		issue(p, value);
		break;
	default:
		fake_ahci.rules++;
	}
}

static void reg_write(u32 offset, u32 size, u32 value)
{
	fake_ahci.rules += size != 4;
	if (offset >= 0x100) {
		port_write_at((offset - 0x100) / 0x80, offset % 0x80, value);
	} else if (offset == 0x04) {
		fake_ahci.rules += !(value >> 31);
		h.ghc = value & ~1u;
		if (value & 1)
			reset_hba();
	} else if (offset == 0x08) {
		h.is &= ~value;
		for (u32 i = 0; i < PORTS; i++) {
			if (port[i].is & port[i].ie)
				interrupt(i, 0);
		}
	} else if (offset == 0x28) {
		h.bohc = value & 2 ? 2 : value;
	} else {
		fake_ahci.rules++;
	}
}

void fake_ahci_init(u32 depth)
{
	u16 *id = fake_ahci.id;
	u64 sectors = FAKE_AHCI_SECTORS;

	fake_device_reset();
	memset(&fake_ahci, 0, offsetof(struct fake_ahci, medium)); /* what it holds is anything */
	memset(port, 0, sizeof(port));
	memset(&h, 0, sizeof(h));
	memcpy(id + 10, "IRESLAN  MUEBR      ", 20);
	id[49] = 0x300;
	id[75] = (u16)(depth ? depth - 1 : 0);
	id[76] = depth ? 0x100 : 0;
	id[82] = 0x20;
	id[83] = 0x7400;
	id[84] = 0x4040;
	memcpy(id + 100, &sectors, 8);
	id[106] = 0x6003;
	id[169] = 1;
	fake_ahci.cap = 1u << 31 | 1u << 30 | 31 << 8 | 2; /* 64 bits, a queue, 32 slots, 3 ports */
	h.bohc = 1;
	/* the firmware left it running */
	h.ghc = 0x80000002;
	disk->cmd = 0xc011;
	fake_device.bar = 5;
	fake_device.messages = 1;
	fake_device.read = reg_read;
	fake_device.write = reg_write;
}

/* Moves data between the medium and the regions of a table. False: they are not of the size. */
static bool transfer(const u8 *table, u32 regions, u64 at, u64 left, bool read)
{
	if (at > sizeof(fake_ahci.medium) || left > sizeof(fake_ahci.medium) - at)
		return false;
	for (u32 i = 0; i < regions; i++) {
		u64 where;
		u32 length;
		u8 *memory;

		memcpy(&where, table + 128 + 16ull * i, 8);
		memcpy(&length, table + 140 + 16ull * i, 4);
		fake_ahci.rules += where % 2 || !(length & 1) || length >= 0x400000;
		length++;
		memory = fake_memory(where, length);
		if (!memory || length > left)
			return false;
		if (read)
			memcpy(memory, fake_ahci.medium + at, length);
		else
			memcpy(fake_ahci.medium + at, memory, length);
		at += length;
		left -= length;
	}
	return left == 0;
}

static bool trim(const u8 *table)
{
	const u8 *block;
	u64 where;
	u64 range;

	memcpy(&where, table + 128, 8);
	block = fake_memory(where, 512);
	fake_ahci.rules += table[3] != 1 || table[12] != 1 || !(fake_ahci.id[169] & 1);
	for (u32 i = 0; i < 64 && block; i++) {
		u64 lba;
		u64 count;

		memcpy(&range, block + 8ull * i, 8);
		lba = range & 0xffffffffffff;
		count = range >> 48;
		if (lba + count > FAKE_AHCI_SECTORS)
			return false;
		memset(fake_ahci.medium + lba * 512, 0x99, count * 512);
	}
	return block;
}

static bool carry_out(const u8 *t, u32 flags, u32 slot)
{
	u8 code = t[2];
	u64 lba = t[4] | t[5] << 8 | (u64)t[6] << 16 | (u64)t[8] << 24 | (u64)t[9] << 32 |
		  (u64)t[10] << 40;
	u64 count = is_queued(code) ? t[3] | t[11] << 8 : t[12] | t[13] << 8;
	bool read = code == 0x60 || code == 0x25;

	if (code == 0xea)
		return true;
	fake_ahci.rules += !(t[7] & 0x40) || (flags >> 6 & 1) != !read;
	if (code == 0x06)
		return trim(t);
	if (is_queued(code)) {
		fake_ahci.queued++;
		fake_ahci.rules += t[12] >> 3 != slot || slot > fake_ahci.id[75];
		fake_ahci.fua += t[7] >> 7;
	} else {
		fake_ahci.plain++;
		fake_ahci.rules += code != 0x25 && code != 0x35 && code != 0x3d;
		fake_ahci.fua += code == 0x3d;
	}
	fake_ahci.rules += count == 0;
	return transfer(t, flags >> 16, lba * 512, count * 512, read);
}

/* Ends commands with an error; those of a queue stay in it until the disk is reset. */
static void end_badly(u32 slot, bool queued, enum fake_ahci_act act)
{
	u32 is = 1u << 30;

	disk->halted = true;
	disk->queue_failed = queued;
	disk->tfd = 0x4041;
	if (act == FAKE_AHCI_LINK) {
		disk->tfd = 0x8441;
		disk->serr |= 1u << 21;
	} else if (act == FAKE_AHCI_BUS) {
		is = 1u << 29;
	} else if (act == FAKE_AHCI_BUSY) {
		disk->tfd = 0x40c1;
	}
	if (queued)
		disk->ci &= ~(1u << slot);
	else if (random() % 2) /* some HBAs clear it */
		disk->ci = 0;
	interrupt(FAKE_AHCI_PORT, is);
}

static void end_well(u32 slot, bool queued)
{
	disk->ci &= ~(1u << slot);
	disk->sact &= ~(1u << slot);
	disk->tfd = 0x50;
	interrupt(FAKE_AHCI_PORT, queued ? 8 : 1);
}

bool fake_ahci_step(enum fake_ahci_act act)
{
	u32 all = disk->ci | disk->sact;
	u32 slot = (u32)random() % 32;
	u32 flags;
	const u8 *table;
	bool queued;

	if (!(disk->cmd & 1) || disk->halted || !fake_device.started)
		return false;
	if (act == FAKE_AHCI_IDLE) {
		end_badly(32, false, act);
		return true;
	}
	if (act == FAKE_AHCI_CHANGE) {
		disk->serr |= 1u << 26 | 1u << 16;
		interrupt(FAKE_AHCI_PORT, 0);
		if (disk->ie & 1u << 6)
			fake_interrupt(0);
		return true;
	}
	if (!all)
		return false;
	while (!(all >> slot & 1))
		slot = (slot + 1) % 32;
	table = slot_table(disk, slot, &flags);
	if (!table || act == FAKE_AHCI_SILENT) {
		disk->halted = true;
		return true;
	}
	queued = is_queued(table[2]);
	fake_ahci.rules += disk->queue_failed;
	if (act != FAKE_AHCI_GOOD) {
		end_badly(slot, queued, act);
	} else if (carry_out(table, flags, slot)) {
		end_well(slot, queued);
	} else {
		fake_ahci.rules++;
		end_badly(slot, queued, FAKE_AHCI_ERROR);
	}
	return true;
}
