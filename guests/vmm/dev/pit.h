/*
 * i8254 interval timer, and port 0x61 with its gate and speaker bits.
 *
 * Intel 8254 datasheet (231164); Intel 82371SB (PIIX3) datasheet, 3.6 (port 0x61).
 * Counts follow from machine_now. Channel 0 drives line 0.
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define PIT_MAGIC   DEVICE_MAGIC('P', 'I', 'T', ' ')
#define PIT_VERSION 1
#define PIT_HZ      1193182ull
#define PIT_LINE    0

enum pit_port {
	PIT_CHANNEL0 = 0x40,
	PIT_CHANNEL1 = 0x41,
	PIT_CHANNEL2 = 0x42,
	PIT_CONTROL = 0x43,
	PIT_NMI_STATUS = 0x61,
};

#define PIT_CONTROL_BCD    0x01u
#define PIT_CONTROL_MODE   0x0eu
#define PIT_CONTROL_ACCESS 0x30u
#define PIT_CONTROL_SELECT 0xc0u
#define PIT_READ_BACK      3 /* channel number that means read-back */
#define PIT_BACK_NO_COUNT  0x20u
#define PIT_BACK_NO_STATUS 0x10u
#define PIT_STATUS_OUTPUT  0x80u
#define PIT_STATUS_NULL    0x40u
#define PIT_NMI_GATE2      0x01u /* port 0x61 */
#define PIT_NMI_SPEAKER    0x02u
#define PIT_NMI_WRITABLE   0x0fu
#define PIT_NMI_REFRESH    0x10u
#define PIT_NMI_OUTPUT2    0x20u
#define PIT_REFRESH_NS     15085ull /* half a period of the refresh request */
#define PIT_MODES          6
#define PIT_PERIOD_MIN_NS  50000ull /* interrupts that should come faster coalesce */

enum pit_access {
	PIT_LATCH = 0,
	PIT_LOW = 1,
	PIT_HIGH = 2,
	PIT_LOW_HIGH = 3,
};

struct pit_channel {
	u64 start;   /* machine_now when the count was loaded or the gate triggered */
	u64 paused;  /* cycles done when the gate stopped it (modes 0 and 4) */
	u64 next_at; /* machine_now at which `next` takes over (modes 2 and 3) */
	u32 count;   /* what it counts down from: 1-65536 (BCD: 1-10000) */
	u32 next;    /* a new count that waits for the period's end or a trigger; 0: none */
	u16 latch;   /* latched count as read, BCD if so programmed */
	u8 status;   /* latched status */
	u8 mode;     /* 0-5 */
	u8 access;   /* enum pit_access */
	u8 bcd;
	u8 gate;
	u8 loaded;     /* a count has been written since the mode was set */
	u8 running;    /* and (modes 1 and 5) the gate has triggered it */
	u8 write_high; /* the next byte written is the high one */
	u8 read_high;
	u8 low;     /* the low byte of a count half written */
	u8 latched; /* bytes of the latch that are still to be read */
	u8 status_latched;
	u8 reserved[2];
};

struct pit {
	struct device_header header;
	struct pit_channel channel[3];
	u64 due;      /* machine_now of channel 0's next interrupt; MACHINE_NEVER: none */
	u8 control61; /* bits 3:0 of port 0x61 */
	u8 line;      /* level last given to line 0 */
	u8 reserved[6];
};
DEVICE_STATE(struct pit);

void pit_init(struct pit *s);
void pit_reset(struct machine *m, struct pit *s);
u32 pit_read(struct machine *m, struct pit *s, u16 port, unsigned size);
void pit_write(struct machine *m, struct pit *s, u16 port, unsigned size, u32 value);
void pit_timer(struct machine *m, struct pit *s);
