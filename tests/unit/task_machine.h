/* Tables, tasks and exits of the task switch tests. */
#pragma once

#include "tests/unit/machine_host.h"

#define GDT  0x40000u
#define LDT  0x41000u
#define IDT  0x42000u
#define OLD  0x43000u
#define NEW  0x44000u
#define NEW2 0x45000u /* 16-bit */
#define CODE 0x10000u

enum { /* selectors */
	CODE0 = 0x08,
	DATA0 = 0x10,
	CODE3 = 0x18,
	DATA3 = 0x20,
	TSS_OLD = 0x28,
	TSS_NEW = 0x30,
	TSS_NEW16 = 0x38,
	LDT_NEW = 0x40,
	CONFORMING3 = 0x48,
	READONLY = 0x50,
	EXECUTE = 0x58,
	ABSENT = 0x60,
	CODE_ABSENT = 0x68,
	STACK_ABSENT = 0x70,
	TSS_ABSENT = 0x78,
	TSS_SHORT = 0x80,
	SMALL_STACK = 0x88,
	GDT_SIZE = 0x90,
	IN_LDT = 0x04, /* the LDT's first entry */
};

#define RW_TYPE   0x92u
#define CODE_TYPE 0x9au
#define DPL3      0x60u
#define FLAT      0xc /* G, D */

static struct vcpu *v __attribute__((unused));

static inline void put(u32 at, u64 value, u32 size)
{
	memcpy(host_ram + at, &value, size);
}

static inline u64 get(u32 at, u32 size)
{
	u64 value = 0;

	memcpy(&value, host_ram + at, size);
	return value;
}

static inline void put_descriptor(u32 table, u32 selector, u32 base, u32 limit, u32 type, u32 flags)
{
	put(table + (selector & ~7u),
		(limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
			(u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56,
		8);
}

static inline u32 type_of(u32 selector)
{
	return (u32)get(GDT + selector + 5, 1);
}

static inline void put_tables(void)
{
	put_descriptor(GDT, CODE0, 0, 0xfffff, CODE_TYPE, FLAT);
	put_descriptor(GDT, DATA0, 0, 0xfffff, RW_TYPE, FLAT);
	put_descriptor(GDT, CODE3, 0, 0xfffff, CODE_TYPE | DPL3, FLAT);
	put_descriptor(GDT, DATA3, 0, 0xfffff, RW_TYPE | DPL3, FLAT);
	put_descriptor(GDT, TSS_OLD, OLD, 0x67, 0x8b, 0);
	put_descriptor(GDT, TSS_NEW, NEW, 0x67, 0x89, 0);
	put_descriptor(GDT, TSS_NEW16, NEW2, 0x2b, 0x81, 0);
	put_descriptor(GDT, LDT_NEW, LDT, 0xf, 0x82, 0);
	put_descriptor(GDT, CONFORMING3, 0, 0xfffff, 0x9e | DPL3, FLAT);
	put_descriptor(GDT, READONLY, 0, 0xfffff, 0x90, FLAT);
	put_descriptor(GDT, EXECUTE, 0, 0xfffff, 0x98, FLAT);
	put_descriptor(GDT, ABSENT, 0, 0xfffff, RW_TYPE & 0x7f, FLAT);
	put_descriptor(GDT, CODE_ABSENT, 0, 0xfffff, CODE_TYPE & 0x7f, FLAT);
	put_descriptor(GDT, STACK_ABSENT, 0, 0xfffff, RW_TYPE & 0x7f, FLAT);
	put_descriptor(GDT, TSS_ABSENT, NEW, 0x67, 0x09, 0);
	put_descriptor(GDT, TSS_SHORT, NEW, 0x66, 0x89, 0);
	put_descriptor(GDT, SMALL_STACK, 0x50000, 0x0f, RW_TYPE, 0);
	put_descriptor(LDT, IN_LDT, 0x1000, 0xff, RW_TYPE, 4);
}

static inline void put_new(u32 offset, u32 value)
{
	put(NEW + offset, value, 4);
}

static inline void put_new_task(void)
{
	put_new(0x20, 0x12345678);
	put_new(0x24, 0xffc08203); /* reserved bits, bit 1 clear */
	for (u32 i = 0; i < 8; i++)
		put_new(0x28 + 4 * i, 0x1000000 * (i + 1));
	put_new(0x28 + 16, 0x60000); /* ESP */
	put_new(0x48, DATA0);
	put_new(0x4c, CODE0);
	put_new(0x50, DATA0);
	put_new(0x54, DATA0);
	put_new(0x58, 0);
	put_new(0x5c, IN_LDT);
	put_new(0x60, LDT_NEW);
}

static inline void put_new16(void)
{
	put(NEW2 + 0x0e, 0xabcd, 2);
	put(NEW2 + 0x10, 0x0202, 2);
	for (u32 i = 0; i < 8; i++)
		put(NEW2 + 0x12 + 2 * i, 0x1111 * (i + 1), 2);
	put(NEW2 + 0x22, DATA0, 2);
	put(NEW2 + 0x24, CODE0, 2);
	put(NEW2 + 0x26, DATA0, 2);
	put(NEW2 + 0x28, DATA0, 2);
	put(NEW2 + 0x2a, 0, 2);
}

static inline struct run_segment flat(u16 selector, u16 type)
{
	return (struct run_segment){selector, (u16)(type | 1 | FLAT << 8), UINT32_MAX, 0};
}

static inline void setup(void)
{
	struct run_page *run;

	v = host_setup(false);
	run = v->run;
	put_tables();
	put_new_task();
	put_new16();
	run->cr0 = CR0_PE | CR0_ET;
	run->cr4 = run->efer = 0;
	run->cs = flat(CODE0, CODE_TYPE);
	run->ss = run->ds = run->es = flat(DATA0, RW_TYPE);
	run->fs = flat(DATA3, RW_TYPE | DPL3);
	run->gs = (struct run_segment){0};
	run->tr = (struct run_segment){TSS_OLD, 0x8b, 0x67, OLD};
	run->ldtr = (struct run_segment){0};
	run->gdtr = (struct run_segment){.base = GDT, .limit = GDT_SIZE - 1};
	run->idtr = (struct run_segment){.base = IDT, .limit = 0x7ff};
	run->rflags = RFLAGS_FIXED | RFLAGS_IF;
	run->dr7 = DR7_FIXED | 0x1ff;
	run->rip = CODE;
	for (u32 i = 0; i < 8; i++)
		run->gpr[i] = 0xaa00 + i;
}

static inline void task_exit_of(u16 selector, enum exit_task_source source, u32 length)
{
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.task.selector = selector;
	v->run->exit.task.source = (u8)source;
	host_exit(v, EXIT_TASK_SWITCH, length);
}

static inline void task_event(u16 selector, u64 event, bool soft, u32 length)
{
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.task.selector = selector;
	v->run->exit.task.source = TASK_EVENT;
	v->run->exit.task.event = event;
	v->run->exit.task.soft = soft;
	v->run->exit.task.error_valid = !!(event & INJECT_ERROR);
	v->run->exit.task.error = (u32)(event >> 32);
	host_exit(v, EXIT_TASK_SWITCH, length);
}

#define EVENT_PF                                                                                   \
	(INJECT_VALID | INJECT_TYPE_EXCEPT | INJECT_ERROR | INJECT_VECTOR(VECTOR_PF) | 6ull << 32)
#define EVENT_IRQ INJECT_VALID | INJECT_TYPE_INTR | INJECT_VECTOR(0x30)

static inline bool raised(u8 vector, u32 error)
{
	return host_raised(v, vector) && (v->run->inject & INJECT_ERROR) &&
	       v->run->inject >> 32 == error;
}

/* Nothing of the old task has changed. */
static inline bool in_old_task(void)
{
	return v->run->tr.selector == TSS_OLD && v->run->rip == CODE && get(OLD + 0x20, 4) == 0 &&
	       type_of(TSS_OLD) == 0x8b && !(v->run->cr0 & CR0_TS);
}
