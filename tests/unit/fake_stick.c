/* A USB stick: see fake_stick.h. Written from USB 2.0 and Bulk-Only Transport 1.0, not from the
 * driver. */
#include <string.h>

#include "tests/unit/fake_stick.h"

struct fake_stick fake_stick;

static void descriptor(u32 which, u8 *out, u32 *size)
{
	bool ours = fake_stick.ours;
	u8 device[18] = {18, 1, 0, 2, 0, 0, 0, 64, 0x27, 0x46, ours, 0, 0, 1, 0, 0, 0, 1};

	if (fake_stick.super)
		device[7] = 9;
	*size = 0;
	if (which == 1) {
		memcpy(out, device, sizeof(device));
		*size = sizeof(device);
	} else if (which == 2) {
		memcpy(out, fake_xhci.config, sizeof(fake_xhci.config));
		if (!ours)
			out[9 + 5] = 3; /* a keyboard's class */
		*size = fake_xhci.config_size;
	}
}

/* 4.6 and 9.4: 1 done, 6 stalled. */
u32 fake_stick_request(const u8 *setup, u8 *data, u32 length, u32 *moved)
{
	u8 found[64];
	u32 size;

	*moved = 0;
	switch (setup[0] << 8 | setup[1]) {
	case 0x8006:
		descriptor(setup[3], found, &size);
		if (size == 0 || !data)
			return 6;
		*moved = size < length ? size : length;
		memcpy(data, found, *moved);
		return 1;
	case 0x0009:
		fake_stick.configuration = setup[2];
		return fake_stick.configuration == fake_xhci.config[5] ? 1 : 6;
	case 0x0201:
		fake_xhci.rules += setup[4] != 0x81 && setup[4] != 0x02;
		fake_stick.halted[setup[4] >> 7] = false;
		return 1;
	case 0x21ff:
		if (fake_xhci.crooked_recovery)
			return 6;
		fake_xhci.recoveries++;
		fake_xhci.rules += setup[4] != fake_xhci.config[9 + 2];
		fake_stick.stage = STICK_COMMAND;
		return 1;
	default:
		return 6;
	}
}

static u64 big(const u8 *at, u32 bytes)
{
	u64 value = 0;

	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

static void answer(const void *data, u32 size)
{
	memcpy(fake_stick.answer, data, size);
	fake_stick.answer_size = size;
	fake_stick.small = true;
	fake_stick.at = 0;
}

void fake_stick_fail(u32 key)
{
	fake_stick.status = 1;
	fake_stick.key = key;
}

static void put_big(u8 *at, u64 value, u32 bytes)
{
	for (u32 i = 0; i < bytes; i++)
		at[i] = (u8)(value >> 8 * (bytes - 1 - i));
}

static void transfer_command(const u8 *cdb, bool large, bool write)
{
	u64 lba = large ? big(cdb + 2, 8) : big(cdb + 2, 4);
	u64 count = large ? big(cdb + 10, 4) : big(cdb + 7, 2);
	u64 at = lba * fake_xhci.block_size;
	u64 bytes = count * fake_xhci.block_size;

	fake_xhci.rules += bytes != fake_stick.left || (fake_stick.cbw[12] >> 7) != !write;
	if (at > sizeof(fake_xhci.medium) || bytes > sizeof(fake_xhci.medium) - at) {
		fake_xhci.rules++;
		fake_stick_fail(5);
		return;
	}
	fake_xhci.rules += write && fake_xhci.protected;
	fake_stick.at = at;
}

static void scsi(void)
{
	const u8 *cdb = fake_stick.cbw + 15;
	u8 data[36] = {0};

	fake_stick.status = 0;
	fake_stick.small = false;
	fake_stick.left =
		fake_stick.cbw[8] | fake_stick.cbw[9] << 8 | (u64)fake_stick.cbw[10] << 16;
	if (fake_xhci.attentions && cdb[0] != 3 && cdb[0] != 0x12) {
		fake_xhci.attentions--;
		fake_stick_fail(6);
		return;
	}
	switch (cdb[0]) {
	case 0x00:
		break;
	case 0x03:
		data[0] = 0x70;
		data[2] = (u8)fake_stick.key;
		answer(data, 18);
		fake_stick.key = 0;
		break;
	case 0x12:
		answer(data, 36);
		break;
	case 0x1a:
		data[2] = fake_xhci.protected ? 0x80 : 0;
		answer(data, 4);
		break;
	case 0x25:
		put_big(data, fake_xhci.blocks > 0xffffffff ? 0xffffffff : fake_xhci.blocks - 1, 4);
		put_big(data + 4, fake_xhci.block_size, 4);
		answer(data, 8);
		break;
	case 0x9e:
		put_big(data, fake_xhci.blocks - 1, 8);
		put_big(data + 8, fake_xhci.block_size, 4);
		answer(data, 32);
		break;
	case 0x28:
	case 0x2a:
	case 0x88:
	case 0x8a:
		transfer_command(cdb, cdb[0] & 0x80, cdb[0] & 2);
		break;
	case 0x35:
		fake_xhci.flushes++;
		if (fake_xhci.no_cache)
			fake_stick_fail(5);
		break;
	default:
		fake_xhci.rules++;
		fake_stick_fail(5);
	}
}

/* One stage of a command on a TD's data of `size` bytes; returns bytes moved. */
u32 fake_stick_stage(u8 *data, u32 size, bool in, enum fake_xhci_act act)
{
	u8 csw[13] = {'U', 'S', 'B', 'S'};

	if (fake_stick.stage == STICK_COMMAND) {
		u32 signature;

		memcpy(fake_stick.cbw, data, 31);
		memcpy(&signature, data, 4);
		fake_xhci.rules += in || size != 31 || signature != 0x43425355 || data[13] != 0;
		fake_xhci.rules += data[14] == 0 || data[14] > 16;
		scsi();
		fake_stick.stage = fake_stick.left ? STICK_DATA : STICK_STATUS;
		return size;
	}
	if (fake_stick.stage == STICK_DATA) {
		u32 n = fake_stick.small && fake_stick.answer_size < size ? fake_stick.answer_size
									  : size;

		fake_xhci.rules += in != (fake_stick.cbw[12] >> 7) || size > fake_stick.left;
		n = act == FAKE_XHCI_SHORT ? n / 2 : fake_stick.status ? 0 : n;
		if (in)
			memcpy(data,
				fake_stick.small ? fake_stick.answer
						 : fake_xhci.medium + fake_stick.at,
				n);
		else if (n)
			memcpy(fake_xhci.medium + fake_stick.at, data, n);
		fake_stick.at += n;
		fake_stick.left -= n;
		return n;
	}
	fake_xhci.rules += !in || size != 13;
	memcpy(csw + 4, fake_stick.cbw + 4, 4);
	memcpy(csw + 8, &fake_stick.left, 4);
	csw[12] = (u8)fake_stick.status;
	csw[4] ^= act == FAKE_XHCI_BAD_STATUS;
	csw[9] |= act == FAKE_XHCI_RESIDUE && fake_stick.cbw[9] >= 2 ? 2 : 0;
	memcpy(data, csw, 13);
	fake_stick.stage = STICK_COMMAND;
	return 13;
}
