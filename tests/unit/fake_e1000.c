/* An Intel gigabit Ethernet card: see fake_e1000.h. Written from the manuals, not from the driver.
 */
#include <string.h>

#include "tests/unit/fake_e1000.h"

#define R(offset) reg[(offset) / 4]

enum {
	CTRL = 0x0,
	STATUS = 0x8,
	EECD = 0x10,
	EERD = 0x14,
	CTRL_EXT = 0x18,
	MDIC = 0x20,
	ICR = 0xc0,
	IMS = 0xd0,
	IMC = 0xd8,
	IVAR = 0xe4,
	RCTL = 0x100,
	TCTL = 0x400,
	EXTCNF = 0xf00,
	RDBAL = 0x2800,
	RDBAH = 0x2804,
	RDLEN = 0x2808,
	RDH = 0x2810,
	RDT = 0x2818,
	TDBAL = 0x3800,
	TDBAH = 0x3804,
	TDLEN = 0x3808,
	TDH = 0x3810,
	TDT = 0x3818,
	RAL = 0x5400,
	RAH = 0x5404,
};

#define CTRL_RST BIT(26)
#define EN       BIT(1)
#define MULR     BIT(28) /* of TCTL, 82574: to be left alone */
#define TXDW     BIT(0)
#define LSC      BIT(2)
#define RXT0     BIT(7)
#define RXQ0     BIT(20)
#define TXQ0     BIT(22)
#define OTHER    BIT(24)

struct fake_e1000 fake_e1000;

static u32 reg[FAKE_REGISTERS / 4];
static u16 eeprom[64];
static struct {
	u8 start;
	u8 field;
	u16 end;
	bool valid;
} context;

static void load_address(void)
{
	if (fake_e1000.keeps_address)
		return;
	memcpy(&R(RAL), fake_e1000.mac, 4);
	R(RAH) = 0;
	memcpy(&R(RAH), fake_e1000.mac + 4, 2);
	R(RAH) |= BIT(31);
}

static void reset(void)
{
	fake_e1000.resets++;
	context.valid = false;
	if (!fake_e1000.lazy) {
		u32 extcnf = R(EXTCNF);

		memset(reg, 0, sizeof(reg));
		R(EXTCNF) = extcnf;
		R(TCTL) = fake_e1000.express ? MULR : 0;
		load_address();
	}
	R(CTRL) = fake_e1000.never_reset ? CTRL_RST : 0;
}

static void eeprom_make(void)
{
	u16 sum = 0;

	memset(eeprom, 0x5a, sizeof(eeprom));
	memcpy(eeprom, fake_e1000.mac, 6);
	for (u32 i = 0; i < 63; i++)
		sum = (u16)(sum + eeprom[i]);
	eeprom[63] = (u16)((fake_e1000.bad_sum ? 0xbabb : 0xbaba) - sum);
}

/* 13.4.17: a message for a cause that was not there before, or is allowed now (0); the line is up
 * while there is any. */
static void raise(u32 cause)
{
	u32 fresh = cause & ~R(ICR);

	R(ICR) |= cause;
	if (!((fake_e1000.msix && cause != 0 ? fresh : R(ICR)) & R(IMS)))
		return;
	if (fake_e1000.msix && cause != 0) {
		u32 entry = cause & RXQ0 ? 0 : cause & TXQ0 ? 8 : 16;

		fake_e1000.rules += (R(IVAR) >> entry & 0xf) != 8;
	}
	fake_interrupt(0);
}

void fake_e1000_set_link(bool up)
{
	fake_e1000.link = up;
	raise(LSC | (fake_e1000.msix ? OTHER : 0));
}

static u32 reg_read(u32 offset, u32 size)
{
	u32 value = R(offset);

	fake_e1000.rules += size != 4;
	if (fake_e1000.gone)
		return ~0u;
	if (offset == STATUS)
		return (fake_e1000.link ? 2 : 0) |
		       (fake_e1000.express && (!(R(CTRL) & 4) || fake_e1000.master) ? BIT(19) : 0);
	if (offset == EECD)
		return BIT(9) | BIT(8);
	if (offset == ICR && !fake_e1000.msix)
		R(ICR) = 0;
	return value;
}

static void read_eeprom(u32 value)
{
	u32 word = fake_e1000.express ? value >> 2 & 0x3fff : value >> 8 & 0xff;

	if (fake_e1000.mute_eeprom)
		return;
	if (word == 0)
		eeprom_make();
	if (!(value & 1) || word >= 64)
		fake_e1000.rules++;
	else
		R(EERD) = (u32)eeprom[word] << 16 | (value & 0xffff & ~1u) |
			  (fake_e1000.express ? BIT(1) : BIT(4));
}

static void mdic(u32 value)
{
	if (fake_e1000.express && !(R(EXTCNF) & BIT(5)))
		fake_e1000.rules++;
	if (fake_e1000.mute_phy)
		return;
	if ((value >> 21 & 31) != 1 || (value >> 16 & 31) != 0) {
		value |= BIT(30);
	} else if (value & BIT(27)) {
		value = (value & ~0xffffu) | fake_e1000.phy_control;
	} else {
		fake_e1000.rules += !(value & BIT(26));
		fake_e1000.phy_control = (u16)value & ~(u16)0x8200;
	}
	R(MDIC) = value | BIT(28);
}

/* Whether a ring may be enabled as it is; its registers are at `base`. */
static void check_ring(u32 base)
{
	fake_e1000.rules += R(base) % 16 != 0 || R(base + 8) % 128 != 0 || R(base + 8) == 0;
	fake_e1000.rules += R(base + 0x10) >= R(base + 8) / 16;
}

static void enable(u32 offset, u32 value)
{
	u32 before = R(offset);

	R(offset) = value;
	if (!(value & EN) || before & EN)
		return;
	check_ring(offset == RCTL ? RDBAL : TDBAL);
	if (offset == RCTL) /* promiscuous, 2048 bytes, no long frames, no check sequence */
		fake_e1000.rules +=
			value != (EN | BIT(3) | BIT(4) | BIT(15) | BIT(26)) || R(RDH) == R(RDT);
	else
		fake_e1000.rules += !(value & BIT(3)) || (value >> 4 & 0xff) != 0xf ||
				    (fake_e1000.express && !(value & MULR)) ||
				    (R(CTRL) & BIT(6)) == 0 || !R(0x410);
	fake_e1000.rules += !fake_device.started;
}

static void reg_write(u32 offset, u32 size, u32 value)
{
	bool ring = (offset >= RDBAL && offset <= RDH) || (offset >= TDBAL && offset <= TDH);

	fake_e1000.rules += size != 4;
	fake_e1000.rules += ring && R(offset >= TDBAL ? TCTL : RCTL) & EN;
	switch (offset) {
	case CTRL:
		R(CTRL) = value;
		if (value & CTRL_RST)
			reset();
		break;
	case ICR:
		R(ICR) &= ~value;
		break;
	case IMS:
		R(IMS) |= value;
		raise(0);
		break;
	case IMC:
		R(IMS) &= ~value;
		break;
	case EERD:
		read_eeprom(value);
		break;
	case MDIC:
		mdic(value);
		break;
	case RCTL:
		if (!fake_e1000.never_stops)
			enable(offset, value);
		break;
	case TCTL:
		enable(offset, value);
		break;
	case RDT:
	case TDT:
		fake_e1000.rules += value >= R(offset == RDT ? RDLEN : TDLEN) / 16 && value != 0;
		fake_e1000.rules += value == R(offset) && value != 0;
		R(offset) = value;
		break;
	default:
		R(offset) = value;
	}
}

/* Descriptor `i` of the ring at `base`. */
static u8 *descriptor(u32 base, u32 i)
{
	return fake_memory((R(base) | (u64)R(base + 4) << 32) + i * 16ull, 16);
}

static bool is_running(u32 control, u32 base)
{
	return R(control) & EN && fake_device.started && !fake_e1000.gone && R(base + 8) >= 128;
}

static void next(u32 base)
{
	R(base + 0x10) = (R(base + 0x10) + 1) % (R(base + 8) / 16);
}

/* 3.3.6: the ones' complement sum from `start` on. */
static void insert_sum(u8 *frame, u32 bytes)
{
	u64 sum = 0;

	fake_e1000.rules += !context.valid || context.end != 0 || context.field + 2u > bytes;
	for (u32 i = context.start; i < bytes; i++)
		sum += (i - context.start) % 2 ? frame[i] : (u32)frame[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	frame[context.field] = (u8)(~sum >> 8);
	frame[context.field + 1] = (u8)~sum;
}

static void read_context(const u8 *d)
{
	context.start = d[4];
	context.field = d[5];
	memcpy(&context.end, d + 6, 2);
	context.valid = true;
}

static void report(u8 *d, enum fake_e1000_act act)
{
	if (act == FAKE_E1000_SILENT)
		return;
	d[12] |= 1;
	for (u32 i = 0; act == FAKE_E1000_ALL && i < R(TDLEN) / 16; i++) {
		u8 *other = descriptor(TDBAL, i);

		if (other)
			other[12] |= 1;
	}
	raise(fake_e1000.msix ? TXQ0 : TXDW);
}

bool fake_e1000_transmit(enum fake_e1000_act act)
{
	static u8 frame[FAKE_E1000_FRAME];
	u32 bytes = 0;
	bool sum = false;

	fake_e1000.gone |= act == FAKE_E1000_GONE;
	if (!is_running(TCTL, TDBAL) || R(TDH) == R(TDT))
		return false;
	for (u32 descs = 0; R(TDH) != R(TDT); descs++) {
		u8 *d = descriptor(TDBAL, R(TDH));
		u32 command;
		u64 address;
		const u8 *from;
		u32 length;

		if (!d || descs == R(TDLEN) / 16)
			return false;
		memcpy(&command, d + 8, 4);
		memcpy(&address, d, 8);
		length = command & 0xfffff;
		next(TDBAL);
		fake_e1000.rules += !(command & BIT(29));
		if (!(command & BIT(20))) {
			fake_e1000.rules += bytes != 0;
			read_context(d);
			continue;
		}
		from = fake_memory(address, length);
		fake_e1000.rules += !(command & BIT(25)) || length == 0;
		if (!from || length > sizeof(frame) - bytes)
			return true;
		sum |= bytes == 0 && d[13] & 2;
		memcpy(frame + bytes, from, length);
		bytes += length;
		if (!(command & BIT(24)))
			continue;
		fake_e1000.rules += !(command & BIT(27));
		if (sum)
			insert_sum(frame, bytes);
		if (fake_e1000.sent)
			fake_e1000.sent(frame, bytes);
		report(d, act);
		return true;
	}
	fake_e1000.rules++; /* a frame without an end */
	return true;
}

bool fake_e1000_receive(const u8 *frame, u32 bytes, enum fake_e1000_act act)
{
	u64 address;
	u16 length = (u16)bytes;
	u8 *d;
	u8 *to;

	fake_e1000.gone |= act == FAKE_E1000_GONE;
	if (!is_running(RCTL, RDBAL) || R(RDH) == R(RDT)) {
		fake_e1000.dropped++;
		return false;
	}
	d = descriptor(RDBAL, R(RDH));
	next(RDBAL);
	if (!d)
		return false;
	memcpy(&address, d, 8);
	to = fake_memory(address, bytes);
	if (!to)
		return false;
	memcpy(to, frame, bytes);
	if (act == FAKE_E1000_SILENT)
		return false;
	length = act == FAKE_E1000_LONG ? 2049 : act == FAKE_E1000_EMPTY ? 0 : length;
	memcpy(d + 8, &length, 2);
	d[13] = act == FAKE_E1000_ERROR ? 1 : 0;
	d[12] = act == FAKE_E1000_PARTS ? 1 : 3;
	for (u32 i = 0; act == FAKE_E1000_ALL && i < R(RDLEN) / 16; i++) {
		u8 *other = descriptor(RDBAL, i);

		if (other)
			other[12] = 3;
	}
	raise(fake_e1000.msix ? RXQ0 : RXT0);
	return true;
}

void fake_e1000_init(bool express, u32 messages)
{
	static const u8 mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
	static const u8 ids[2][4] = {{0x86, 0x80, 0x0e, 0x10}, {0x86, 0x80, 0xd3, 0x10}};

	fake_device_reset();
	memset(reg, 0, sizeof(reg));
	memset(&fake_e1000, 0, sizeof(fake_e1000));
	memset(&context, 0, sizeof(context));
	fake_e1000.express = express;
	fake_e1000.msix = express && messages > 0;
	fake_e1000.link = true;
	fake_e1000.phy_control = 0x1140;
	memcpy(fake_e1000.mac, mac, sizeof(mac));
	memcpy(fake_device.config, ids[express], 4);
	if (fake_e1000.msix) {
		fake_device.config[0x34] = 0x40;
		fake_device.config[0x40] = 0x11;
	}
	fake_device.messages = messages;
	fake_device.read = reg_read;
	fake_device.write = reg_write;
	R(RCTL) = EN;
	R(TCTL) = EN | (express ? MULR : 0);
	R(IMS) = ~0u;
	R(RDT) = 7;
	R(TDH) = 5;
}
