/* I/O APIC: see ioapic.h. */
#include "guests/vmm/dev/ioapic.h"
#include "guests/vmm/dev/lapic.h"

#define LOW_HALF   0xffffffffull
#define HIGH_SHIFT 32

/* Bits of an entry that software can write. */
#define RTE_WRITABLE                                                                               \
	(IOAPIC_RTE_VECTOR | IOAPIC_RTE_DELIVERY | IOAPIC_RTE_LOGICAL | IOAPIC_RTE_ACTIVE_LOW |    \
		IOAPIC_RTE_LEVEL | IOAPIC_RTE_MASKED | 0xffull << IOAPIC_RTE_DEST_SHIFT)

static void send(struct machine *m, u64 rte)
{
	u64 address = LAPIC_MESSAGE_BASE | (rte >> IOAPIC_RTE_DEST_SHIFT)
						   << LAPIC_MESSAGE_DEST_SHIFT;
	u32 data = (u32)(rte & (IOAPIC_RTE_VECTOR | IOAPIC_RTE_DELIVERY));

	if (rte & IOAPIC_RTE_LOGICAL)
		address |= LAPIC_MESSAGE_LOGICAL;
	if (rte & IOAPIC_RTE_LEVEL)
		data |= LAPIC_MESSAGE_LEVEL | LAPIC_MESSAGE_ASSERT;
	machine_message(m, address, data);
}

/* Tells whether the entry's EOI is awaited: only fixed and lowest-priority interrupts have one. */
static bool has_eoi(u64 rte)
{
	u64 delivery = (rte & IOAPIC_RTE_DELIVERY) >> IOAPIC_RTE_DELIVERY_SHIFT;

	return rte & IOAPIC_RTE_LEVEL && (delivery == LAPIC_FIXED || delivery == LAPIC_LOWEST);
}

/* Sends a level-triggered interrupt that is due. */
static void service_level(struct machine *m, struct ioapic *s, u32 pin)
{
	u64 *rte = &s->redirection[pin];

	if (!has_eoi(*rte) || !(s->lines & BIT(pin)) ||
		*rte & (IOAPIC_RTE_MASKED | IOAPIC_RTE_REMOTE_IRR))
		return;
	*rte |= IOAPIC_RTE_REMOTE_IRR;
	send(m, *rte);
}

void ioapic_set_pin(struct machine *m, struct ioapic *s, u32 pin, bool level)
{
	bool rises;

	if (pin >= IOAPIC_PINS)
		return;
	rises = level && !(s->lines & BIT(pin));
	if (level)
		s->lines |= (u32)BIT(pin);
	else
		s->lines &= ~(u32)BIT(pin);
	/* An edge on a masked pin is neither delivered nor held pending (82093AA, 3.2.4, bit 16).
	 */
	if (has_eoi(s->redirection[pin]))
		service_level(m, s, pin);
	else if (rises && !(s->redirection[pin] & IOAPIC_RTE_MASKED))
		send(m, s->redirection[pin]);
}

void ioapic_eoi(struct machine *m, struct ioapic *s, u8 vector)
{
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 *rte = &s->redirection[pin];

		if ((*rte & IOAPIC_RTE_VECTOR) != vector || !(*rte & IOAPIC_RTE_REMOTE_IRR))
			continue;
		*rte &= ~IOAPIC_RTE_REMOTE_IRR;
		machine_level_end(m);
		service_level(m, s, pin);
	}
}

void ioapic_level_vectors(const struct ioapic *s, u64 vectors[4])
{
	for (unsigned i = 0; i < 4; i++)
		vectors[i] = 0;
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 rte = s->redirection[pin];
		u64 vector = rte & IOAPIC_RTE_VECTOR;

		/* A masked entry counts while the EOI of what it sent before is to come. */
		if (has_eoi(rte) && (!(rte & IOAPIC_RTE_MASKED) || rte & IOAPIC_RTE_REMOTE_IRR))
			vectors[vector / 64] |= BIT(vector % 64);
	}
}

static u32 read_register(const struct ioapic *s)
{
	u32 number = s->select - IOAPIC_REG_REDIRECTION;
	u64 rte;

	switch (s->select) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return s->id;
	case IOAPIC_REG_VERSION:
		return IOAPIC_VERSION_VALUE;
	}
	if (s->select < IOAPIC_REG_REDIRECTION || number >= 2 * IOAPIC_PINS)
		return 0;
	rte = s->redirection[number / 2];
	return (u32)(number % 2 ? rte >> HIGH_SHIFT : rte);
}

static void write_redirection(struct machine *m, struct ioapic *s, u32 number, u32 value)
{
	u32 pin = number / 2;
	u64 old = s->redirection[pin];
	u64 rte;

	if (number % 2)
		rte = (old & LOW_HALF) | ((u64)value << HIGH_SHIFT & RTE_WRITABLE);
	else
		rte = (old & ~LOW_HALF) | (value & RTE_WRITABLE) | (old & IOAPIC_RTE_REMOTE_IRR);
	/* Linux ends interrupts on I/O APICs without EOI register by a turn to edge mode. */
	if (!(rte & IOAPIC_RTE_LEVEL))
		rte &= ~IOAPIC_RTE_REMOTE_IRR;
	s->redirection[pin] = rte;
	service_level(m, s, pin);
	ioapic_changed(m);
}

static void write_register(struct machine *m, struct ioapic *s, u32 value)
{
	u32 number = s->select - IOAPIC_REG_REDIRECTION;

	if (s->select == IOAPIC_REG_ID)
		s->id = value & IOAPIC_ID_MASK;
	else if (s->select >= IOAPIC_REG_REDIRECTION && number < 2 * IOAPIC_PINS)
		write_redirection(m, s, number, value);
}

u32 ioapic_read(struct machine *m, struct ioapic *s, u32 offset, unsigned size)
{
	u32 value = 0;

	(void)m;
	switch (offset & ~3u) {
	case IOAPIC_SELECT:
		value = s->select;
		break;
	case IOAPIC_DATA:
		value = read_register(s);
		break;
	}
	return value >> (offset & 3) * 8 & device_mask(size);
}

void ioapic_write(struct machine *m, struct ioapic *s, u32 offset, unsigned size, u32 value)
{
	/* The index register is eight bits wide, and some write it as a byte. */
	if (offset == IOAPIC_SELECT)
		s->select = value & 0xff;
	if (size != 4)
		return;
	if (offset == IOAPIC_DATA)
		write_register(m, s, value);
	else if (offset == IOAPIC_EOI)
		ioapic_eoi(m, s, (u8)value);
}

static void power_on(struct ioapic *s)
{
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		s->redirection[pin] = IOAPIC_RTE_MASKED;
	s->id = 0;
	s->select = 0;
}

void ioapic_init(struct ioapic *s)
{
	*s = (struct ioapic){.header = device_header(IOAPIC_MAGIC, IOAPIC_VERSION, sizeof(*s))};
	power_on(s);
}

void ioapic_reset(struct machine *m, struct ioapic *s)
{
	power_on(s);
	ioapic_changed(m);
}
