/*
 * I/O APIC with 24 pins: an 82093AA with the EOI register of later ones.
 *
 * Intel 82093AA datasheet (290566), chapter 3; Intel ICH9 datasheet, 13.5 (EOI register).
 * Polarity is kept but has no effect: machine_line's level means asserted.
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define IOAPIC_MAGIC   DEVICE_MAGIC('I', 'O', 'A', 'P')
#define IOAPIC_VERSION 1

#define IOAPIC_BASE 0xfec00000ull /* guest-physical */
#define IOAPIC_SIZE 0x1000u
#define IOAPIC_PINS 24

enum ioapic_window { /* offsets in the page */
	IOAPIC_SELECT = 0x00,
	IOAPIC_DATA = 0x10,
	IOAPIC_EOI = 0x40,
};

enum ioapic_register { /* indices behind IOAPIC_SELECT */
	IOAPIC_REG_ID = 0x00,
	IOAPIC_REG_VERSION = 0x01,
	IOAPIC_REG_ARBITRATION = 0x02,
	IOAPIC_REG_REDIRECTION = 0x10, /* two for each pin */
};

#define IOAPIC_VERSION_VALUE (0x20u | (IOAPIC_PINS - 1) << 16)
#define IOAPIC_ID_MASK       0x0f000000u

#define IOAPIC_RTE_VECTOR         0xffull
#define IOAPIC_RTE_DELIVERY       0x700ull
#define IOAPIC_RTE_DELIVERY_SHIFT 8
#define IOAPIC_RTE_LOGICAL        BIT(11)
#define IOAPIC_RTE_PENDING        BIT(12)
#define IOAPIC_RTE_ACTIVE_LOW     BIT(13)
#define IOAPIC_RTE_REMOTE_IRR     BIT(14)
#define IOAPIC_RTE_LEVEL          BIT(15)
#define IOAPIC_RTE_MASKED         BIT(16)
#define IOAPIC_RTE_DEST_SHIFT     56

struct ioapic {
	struct device_header header;
	u64 redirection[IOAPIC_PINS];
	u32 lines; /* bit n: pin n is asserted */
	u32 id;
	u32 select;
	u32 reserved;
};
DEVICE_STATE(struct ioapic);

void ioapic_init(struct ioapic *s);
void ioapic_reset(struct machine *m, struct ioapic *s);

/* offset: bytes from IOAPIC_BASE, any value. Only aligned accesses of four bytes write. */
u32 ioapic_read(struct machine *m, struct ioapic *s, u32 offset, unsigned size);
void ioapic_write(struct machine *m, struct ioapic *s, u32 offset, unsigned size, u32 value);

/* Sets pin `pin` (others than 0-23 are ignored) asserted or not; may call machine_message. */
void ioapic_set_pin(struct machine *m, struct ioapic *s, u32 pin, bool level);

/* A LAPIC ended level-triggered `vector`: pins that still are asserted interrupt again. */
void ioapic_eoi(struct machine *m, struct ioapic *s, u8 vector);

/* The VMM provides this: a level-triggered interrupt has ended. Pins may be set in it. */
void machine_level_end(struct machine *m);

/* Bit n set: some unmasked level-triggered pin uses vector n. For EOI-exit bitmaps. */
void ioapic_level_vectors(const struct ioapic *s, u64 vectors[4]);

/* The VMM provides this: an entry was written, so ioapic_level_vectors may answer differently. */
void ioapic_changed(struct machine *m);
