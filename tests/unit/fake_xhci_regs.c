/* The registers of an xHCI controller: see fake_xhci.h. Written from xHCI 1.2, not from the driver.
 */
#include <string.h>

#include "tests/unit/fake_xhci_hc.h"

#define CAPLENGTH 0x40u
#define RUNTIME   0x1000u
#define DOORBELLS 0x2000u
#define EXTENDED  0x800u

static void reset_controller(void)
{
	u32 ports[FAKE_HC_PORTS + 1];

	memcpy(ports, fake_hc.portsc, sizeof(ports));
	memset(&fake_hc, 0, sizeof(fake_hc));
	fake_hc.sts = 1;
	fake_xhci.resets++;
	for (u32 i = 1; i <= FAKE_HC_PORTS; i++)
		fake_hc.portsc[i] = 0x2a0;
	fake_hc.cmd = fake_xhci.never_reset ? 2 : 0;
}

/* What is there is seen once the port has power, and the test may have changed it meanwhile. */
static void power(u32 port)
{
	u32 device = fake_usb_at(0, port);
	bool there = device && !(fake_usb[device].kind == FAKE_OTHER && fake_xhci.no_other);

	if (there != (fake_hc.portsc[port] & 1))
		fake_hc_connect(port, there ? fake_usb[device].speed : 0);
}

static void port_write_at(u32 port, u32 value)
{
	u32 *p = &fake_hc.portsc[port];
	u32 device;

	fake_xhci.rules += value & 2; /* which disables it */
	*p &= ~(value & 0xfe0000);
	if (!(value & 0x200))
		fake_xhci.rules++;
	power(port);
	device = fake_usb_at(0, port);
	if (value & 16 && *p & 1) {
		*p |= 2 | 1u << 21;
		if (fake_usb[device].kind == FAKE_STICK)
			fake_stick.stage = STICK_COMMAND;
		if (device)
			fake_usb[device].configuration = 0;
	}
}

static u32 reg_read(u32 offset, u32 size)
{
	fake_xhci.rules += size != 4;
	switch (offset) {
	case 0x00:
		return 0x01100000 | CAPLENGTH;
	case 0x04:
		return FAKE_HC_PORTS << 24 | 1 << 8 | FAKE_HC_SLOTS;
	case 0x08:
		return (fake_xhci.scratchpads & 31) << 27;
	case 0x10:
		return 1 | (fake_xhci.wide_contexts ? 4 : 0) | (EXTENDED / 4) << 16;
	case 0x14:
		return DOORBELLS;
	case 0x18:
		return RUNTIME;
	case EXTENDED:
		return 2 | 4 << 8;
	case EXTENDED + 16:
		return fake_hc.legacy;
	case EXTENDED + 20:
		return fake_hc.smis;
	case CAPLENGTH + 0x00:
		return fake_hc.cmd;
	case CAPLENGTH + 0x04:
		return fake_hc.sts;
	case CAPLENGTH + 0x08:
		return 1;
	case RUNTIME + 0x20:
		return fake_hc.iman;
	default:
		if (offset >= CAPLENGTH + 0x400 &&
			offset < CAPLENGTH + 0x400 + 16 * FAKE_HC_PORTS && offset % 16 == 0) {
			power((offset - CAPLENGTH - 0x400) / 16 + 1);
			return fake_hc.portsc[(offset - CAPLENGTH - 0x400) / 16 + 1];
		}
		return 0;
	}
}

static void half(u64 *whole, bool high, u32 value)
{
	*whole = high ? (*whole & 0xffffffffu) | (u64)value << 32
		      : (*whole & ~0xffffffffull) | value;
}

static void command_register(u32 value)
{
	if (value & 2) {
		fake_xhci.rules += !(fake_hc.sts & 1);
		reset_controller();
		return;
	}
	if (value & 1 && !(fake_hc.cmd & 1)) {
		fake_xhci.rules +=
			fake_hc.config == 0 || fake_hc.dcbaap % 64 || fake_hc.crcr % 64 != 1;
		fake_xhci.rules += fake_hc.event_size == 0 || !fake_device.started;
		fake_hc.command = fake_hc.crcr & ~63ull;
		fake_hc.command_cycle = fake_hc.crcr & 1;
	}
	fake_hc.cmd = value;
	fake_hc.sts = value & 1 ? fake_hc.sts & ~1u : fake_hc.sts | 1;
}

static void event_ring(void)
{
	const u8 *at = fake_memory(fake_hc.erstba, 16);

	fake_xhci.rules += fake_hc.erstsz != 1 || fake_hc.erstba % 64 || !at;
	if (!at)
		return;
	memcpy(&fake_hc.event_base, at, 8);
	memcpy(&fake_hc.event_size, at + 8, 4);
	fake_xhci.rules +=
		fake_hc.event_size < 16 || fake_hc.event_size > 4096 || fake_hc.event_base % 64;
	fake_hc.event_at = 0;
	fake_hc.event_cycle = 1;
}

static void reg_write(u32 offset, u32 size, u32 value)
{
	fake_xhci.rules += size != 4;
	if (offset >= DOORBELLS) {
		fake_hc_doorbell((offset - DOORBELLS) / 4, value);
		return;
	}
	if (offset >= CAPLENGTH + 0x400 && offset < CAPLENGTH + 0x400 + 16 * FAKE_HC_PORTS &&
		offset % 16 == 0) {
		port_write_at((offset - CAPLENGTH - 0x400) / 16 + 1, value);
		return;
	}
	switch (offset) {
	case EXTENDED + 16:
		fake_hc.legacy = value & 1u << 24 ? value & ~(1u << 16) : value;
		break;
	case EXTENDED + 20:
		fake_xhci.rules += value & 0xe011;
		fake_hc.smis = value;
		break;
	case CAPLENGTH + 0x00:
		command_register(value);
		break;
	case CAPLENGTH + 0x04:
		fake_hc.sts &= ~(value & 0x41c);
		break;
	case CAPLENGTH + 0x18:
	case CAPLENGTH + 0x1c:
		half(&fake_hc.crcr, offset % 8, value);
		break;
	case CAPLENGTH + 0x30:
	case CAPLENGTH + 0x34:
		half(&fake_hc.dcbaap, offset % 8, value);
		break;
	case CAPLENGTH + 0x38:
		fake_hc.config = value;
		break;
	case RUNTIME + 0x20:
		fake_hc.iman = (value & 2) | (fake_hc.iman & ~value & 1);
		break;
	case RUNTIME + 0x24:
		break;
	case RUNTIME + 0x28:
		fake_hc.erstsz = value;
		break;
	case RUNTIME + 0x30:
		half(&fake_hc.erstba, false, value);
		break;
	case RUNTIME + 0x34:
		half(&fake_hc.erstba, true, value);
		event_ring();
		break;
	case RUNTIME + 0x38:
		half(&fake_hc.erdp, false, (value & ~8u) | (fake_hc.erdp & 8 & ~value));
		break;
	case RUNTIME + 0x3c:
		half(&fake_hc.erdp, true, value);
		/* what came meanwhile and was not taken interrupts again */
		if (fake_hc.event_size &&
			(fake_hc.erdp & ~15ull) != fake_hc.event_base + fake_hc.event_at * 16ull) {
			fake_hc.erdp |= 8;
			fake_interrupt(0);
		}
		break;
	default:
		fake_xhci.rules++;
	}
}

void fake_xhci_init(u32 speed)
{
	bool super = speed >= 4;
	u8 packet[2] = {speed == 1 ? 64 : 0, super ? 4 : speed == 1 ? 0 : 2};
	u8 config[] = {9, 2, 0, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 2, 8, 6, 0x50, 0, 7, 5, 0x81, 2,
		0, 0, 0, 6, 0x30, 3, 0, 0, 0, 7, 5, 0x02, 2, 0, 0, 0, 6, 0x30, 15, 0, 0, 0};

	fake_device_reset();
	memset(&fake_xhci, 0, offsetof(struct fake_xhci, medium)); /* what it holds is anything */
	memset(&fake_hc, 0, sizeof(fake_hc));
	memset(fake_usb, 0, sizeof(fake_usb));
	memset(&fake_stick, 0, sizeof(fake_stick));
	memcpy(config + 22, packet, 2);
	memcpy(config + 35, packet, 2);
	config[2] = sizeof(config);
	memcpy(fake_xhci.config, config, sizeof(config));
	fake_xhci.config_size = sizeof(config);
	fake_xhci.block_size = 512;
	fake_xhci.blocks = FAKE_XHCI_SECTORS;
	fake_xhci.scratchpads = 3;
	fake_hc.legacy = 1 | 1u << 16;
	fake_hc.smis = 0xe011;
	fake_hc.cmd = 1; /* the firmware left it running */
	for (u32 i = 1; i <= FAKE_HC_PORTS; i++)
		fake_hc.portsc[i] = 0x2a0;
	fake_usb_plug(FAKE_STICK, 0, FAKE_XHCI_PORT, speed);
	fake_usb_plug(FAKE_OTHER, 0, 1, 3);
	fake_device.messages = 1;
	fake_device.read = reg_read;
	fake_device.write = reg_write;
}
