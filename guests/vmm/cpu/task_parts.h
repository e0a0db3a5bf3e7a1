/* What the files of the task switch share: the switch in progress, its faults, guest memory. */
#pragma once

#include "guests/vmm/cpu/emulate_bus.h"

#define SELECTOR_TI   BIT(2) /* in the LDT */
#define SELECTOR_RPL  3u
#define SELECTOR_NULL 0xfffcu /* a null selector has none of these bits */
#define ERROR_EXT     1u      /* of an error code: the event came from outside the program */

struct task_switch {
	struct vcpu *v;
	struct bus bus; /* supervisor accesses under the CR3 in effect */
	u32 ext;        /* ERROR_EXT or 0 */
	bool nested;    /* CALL or event: the old task is linked to */
	bool iret;
	u64 event; /* what is being delivered, INJECT_*; 0: nothing */
	bool soft; /* ... by an instruction */
};

/* The segment registers of the new task, as its TSS has them. */
struct task_selectors {
	u16 es, cs, ss, ds, fs, gs;
	u16 ldt;
};

/* Faults for the guest; each returns false. The error code is a selector's, or 0. */
bool task_fault(struct task_switch *t, u8 vector, u32 selector);
bool task_page_fault(struct task_switch *t);

/*
 * Linear memory with supervisor rights, at most a page's worth of bytes. False: the guest got a
 * page fault. Memory that is no RAM reads as ones and ignores writes.
 */
bool task_read(struct task_switch *t, u64 linear, void *data, u32 size);
bool task_write(struct task_switch *t, u64 linear, const void *data, u32 size);

/* Can all of it be written? False: the guest got a page fault. */
bool task_probe(struct task_switch *t, u64 linear, u32 size);

/* Descriptor of 8 bytes in the run page's form, selector set; and the address of its bytes. */
struct run_segment descriptor_expand(u64 raw, u16 selector);

/* Type of a system segment, or of code and data, without the S bit. */
static inline u32 segment_type(const struct run_segment *s)
{
	return s->attributes & SEGMENT_TYPE_MASK;
}

static inline u32 segment_dpl(const struct run_segment *s)
{
	return s->attributes >> SEGMENT_DPL_SHIFT & 3;
}

/*
 * Loads LDTR and the segment registers in the new task's context. With RFLAGS.VM as in virtual-8086
 * mode. False: the guest got a fault; registers that were not loaded hold the selector only.
 */
bool task_load_segments(struct task_switch *t, const struct task_selectors *s);
