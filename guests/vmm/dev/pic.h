/*
 * The pair of 8259A interrupt controllers with the ELCR of PCI machines.
 *
 * Intel 8259A datasheet (231468); Intel 82371SB (PIIX3) datasheet, 2.5.5 and 3.7 (ELCR).
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define PIC_MAGIC   DEVICE_MAGIC('P', 'I', 'C', 'S')
#define PIC_VERSION 1

enum pic_port {
	PIC_MASTER_COMMAND = 0x20,
	PIC_MASTER_DATA = 0x21,
	PIC_SLAVE_COMMAND = 0xa0,
	PIC_SLAVE_DATA = 0xa1,
	PIC_ELCR_MASTER = 0x4d0,
	PIC_ELCR_SLAVE = 0x4d1,
};

#define PIC_CASCADE  2 /* the master's input that the slave drives */
#define PIC_SPURIOUS 7 /* the input whose vector is given when none is requested */

/* Lines that the ELCR cannot make level-triggered: 0, 1, 2; 8, 13. */
#define PIC_ELCR_MASTER_MASK 0xf8u
#define PIC_ELCR_SLAVE_MASK  0xdeu

#define PIC_ICW1       0x10u /* in a command write: ICW1 */
#define PIC_ICW1_IC4   0x01u
#define PIC_ICW1_SNGL  0x02u
#define PIC_ICW1_LTIM  0x08u
#define PIC_ICW2_BASE  0xf8u
#define PIC_ICW4_8086  0x01u
#define PIC_ICW4_AEOI  0x02u
#define PIC_ICW4_SFNM  0x10u
#define PIC_OCW3       0x08u /* in a command write without ICW1: OCW3, else OCW2 */
#define PIC_OCW2_LEVEL 0x07u
#define PIC_OCW2_SHIFT 5
#define PIC_OCW3_RIS   0x01u
#define PIC_OCW3_RR    0x02u
#define PIC_OCW3_POLL  0x04u
#define PIC_OCW3_SMM   0x20u
#define PIC_OCW3_ESMM  0x40u
#define PIC_POLL_VALID 0x80u

enum pic_ocw2 { /* bits 7:5: R, SL, EOI */
	PIC_ROTATE_AEOI_CLEAR = 0,
	PIC_EOI = 1,
	PIC_NO_OPERATION = 2,
	PIC_EOI_SPECIFIC = 3,
	PIC_ROTATE_AEOI_SET = 4,
	PIC_EOI_ROTATE = 5,
	PIC_SET_PRIORITY = 6,
	PIC_EOI_SPECIFIC_ROTATE = 7,
};

enum pic_init_step {
	PIC_READY = 0,
	PIC_WANT_ICW2 = 1,
	PIC_WANT_ICW3 = 2,
	PIC_WANT_ICW4 = 3,
};

struct pic_chip {
	u8 irr;   /* requests */
	u8 isr;   /* in service */
	u8 imr;   /* masked */
	u8 lines; /* input levels */
	u8 elcr;
	u8 icw1;
	u8 icw2;
	u8 icw4;
	u8 step;   /* enum pic_init_step */
	u8 lowest; /* input with the lowest priority, 0-7 */
	u8 read_isr;
	u8 poll; /* the next read is a poll */
	u8 special_mask;
	u8 rotate_aeoi;
	u8 reserved[2];
};

struct pic {
	struct device_header header;
	struct pic_chip chip[2]; /* master, slave */
	u8 output;               /* level of INTR */
	u8 reserved[7];
};
DEVICE_STATE(struct pic);

/* Does a write to a command port end an interrupt? */
static inline bool pic_is_eoi(u8 command)
{
	return !(command & (PIC_ICW1 | PIC_OCW3)) && command >> PIC_OCW2_SHIFT & PIC_EOI;
}

void pic_init(struct pic *s);
void pic_reset(struct machine *m, struct pic *s);
u32 pic_read(struct machine *m, struct pic *s, u16 port, unsigned size);
void pic_write(struct machine *m, struct pic *s, u16 port, unsigned size, u32 value);

/* Sets input `line` (0-15 but not 2; others are ignored); calls machine_intr if INTR changes. */
void pic_set_line(struct machine *m, struct pic *s, u32 line, bool level);

/* Level of INTR. */
bool pic_output(const struct pic *s);

/*
 * The processor's interrupt acknowledge: returns the vector, which is now in service; a spurious
 * one if nothing is requested any more. Calls machine_intr if INTR changes.
 */
u8 pic_ack(struct machine *m, struct pic *s);
