/* A PCI function on the build host: see fake_device.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_device.h"

#define SESSION_BUS  0x10000000ull
#define SESSION_STEP 0x01000000ull
#define CAPS         0x34

struct fake_device fake_device;

static u8 registers[FAKE_REGISTERS] __attribute__((aligned(4096)));
static u8 dma[FAKE_DMA] __attribute__((aligned(4096)));
static u8 session[FAKE_CLIENTS][FAKE_SESSION_SIZE] __attribute__((aligned(4096)));

void abi_stub(void);
void abi_stub(void)
{
	abort(); /* no system call is made on the host */
}

void fake_device_reset(void)
{
	memset(&fake_device, 0, sizeof(fake_device));
}

void fake_device_memory(struct device *d)
{
	*d = (struct device){
		.memory = dma, .left = sizeof(dma), .bus = FAKE_DMA_BUS, .name = "fake"};
}

u8 *fake_session(u32 n)
{
	return session[n];
}

u64 fake_session_bus(u32 n)
{
	return SESSION_BUS + n * SESSION_STEP + BLOCK_DATA;
}

void *fake_memory(u64 bus, u64 size)
{
	const u64 data = FAKE_SESSION_SIZE - BLOCK_DATA;

	if (bus >= FAKE_DMA_BUS && size <= FAKE_DMA && bus - FAKE_DMA_BUS <= FAKE_DMA - size)
		return dma + (bus - FAKE_DMA_BUS);
	for (u32 i = 0; i < FAKE_CLIENTS; i++) {
		u64 at = bus - fake_session_bus(i);

		if (bus >= fake_session_bus(i) && size <= data && at <= data - size)
			return session[i] + BLOCK_DATA + at;
	}
	fake_device.wild++;
	return NULL;
}

void fake_interrupt(u32 number)
{
	if (number < 8 && fake_device.started)
		fake_device.interrupts |= fake_device.message_bit[number];
}

static u32 garble(u32 value)
{
	if (fake_device.garbled == 0)
		return value;
	fake_device.garbled--;
	return value ^ fake_device.garble;
}

u32 mmio_read(const volatile void *at, u32 size)
{
	u64 offset = (u64)((const volatile u8 *)at - registers);

	if (offset > FAKE_REGISTERS - size || offset % size)
		abort();
	return garble(fake_device.read((u32)offset, size));
}

void mmio_write(volatile void *at, u32 size, u32 value)
{
	u64 offset = (u64)((volatile u8 *)at - registers);

	if (offset > FAKE_REGISTERS - size || offset % size)
		abort();
	fake_device.write((u32)offset, size, value);
}

u32 device_config(const struct device *d, u32 offset, u32 size)
{
	u32 value = 0;

	(void)d;
	if (offset + size > sizeof(fake_device.config))
		return ~0u;
	memcpy(&value, fake_device.config + offset, size);
	return value;
}

u32 device_capability(const struct device *d, u32 id, u32 after)
{
	u32 at = after ? after + 1 : CAPS;

	for (int i = 0; i < 48; i++) {
		at = device_config(d, at, 1) & 0xfc;
		if (at < 0x40)
			return 0;
		if (device_config(d, at, 1) == id)
			return at;
		at++;
	}
	return 0;
}

volatile u8 *device_registers(const struct device *d, u32 bar, u64 offset, u64 size)
{
	(void)d;
	return bar == fake_device.bar && offset <= FAKE_REGISTERS && size <= FAKE_REGISTERS - offset
		       ? registers + offset
		       : NULL;
}

void *device_alloc(struct device *d, u64 size, u64 align, u64 *bus)
{
	u64 skip = ALIGN_UP(d->bus, align) - d->bus;
	void *found = d->memory + skip;

	if (skip > d->left || size > d->left - skip)
		return NULL;
	memset(found, 0, size);
	*bus = d->bus + skip;
	d->memory += skip + size;
	d->bus += skip + size;
	d->left -= (u32)(skip + size);
	return found;
}

bool device_start(struct device *d)
{
	(void)d;
	fake_device.started = true;
	return true;
}

u32 device_messages(const struct device *d)
{
	(void)d;
	return fake_device.messages;
}

bool device_interrupt(struct device *d, u32 number, u32 bit, struct device_interrupt *out)
{
	(void)d;
	if (number >= 8)
		return false;
	fake_device.message_bit[number] = BIT(bit);
	*out = (struct device_interrupt){.irq = 1, .bits = BIT(bit)};
	return true;
}

void device_wait(const struct device *d, u64 us)
{
	(void)d;
	fake_device.waited += us;
	if (fake_device.idle)
		fake_device.idle();
}

u64 device_time(const struct device *d)
{
	(void)d;
	return fake_device.waited;
}

void device_stop(struct device *d)
{
	(void)d;
	fake_device.started = false;
}

void device_log(const struct device *d, const char *text, ...)
{
	va_list args;

	(void)d;
	va_start(args, text);
	vsnprintf(fake_device.last, sizeof(fake_device.last), text, args);
	va_end(args);
	fake_device.logs++;
}

u32 port_read(u16 port, u32 size);
void port_write(u16 port, u32 size, u32 value);

u32 port_read(u16 port, u32 size)
{
	return garble(fake_device.port_read(port, size));
}

void port_write(u16 port, u32 size, u32 value)
{
	fake_device.port_write(port, size, value);
}

bool device_ports(const struct device *d, bool own, u32 n, u16 *base, u32 *count)
{
	(void)d;
	*base = own ? FAKE_MASTER : n ? FAKE_CONTROL : FAKE_BLOCK;
	*count = own ? 16 : n ? 1 : 8;
	return n < (own ? 1u : 2u);
}

/* The line is message 0. */
bool device_isa_interrupt(const struct device *d, struct device_interrupt *out)
{
	(void)d;
	fake_device.message_bit[0] = BIT(3);
	*out = (struct device_interrupt){.irq = 1, .bits = BIT(3)};
	return true;
}
