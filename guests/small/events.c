/*
 * A guest that checks what monitors easily get wrong: the task priority between exits, interrupts
 * that it holds back, an NMI in the handler of another, a task register loaded from a device's
 * register, the flags of a fault. Each check prints PASS or FAIL.
 */
#include "small.h"

#define LAPIC       0xfee00000ull
#define REG_TPR     0x80u
#define REG_SVR     0xf0u
#define REG_ICR     0x300u
#define REG_ICR2    0x310u
#define REG_LVT     0x320u
#define REG_COUNT   0x380u /* the timer's initial count: reads back as written */
#define SVR_ENABLE  0x1ffu
#define ICR_SELF    BIT(18)
#define ICR_ASSERT  BIT(14)
#define ICR_NMI     (4u << 8)
#define LVT_MASKED  BIT(16)
#define NMI         2u
#define GP          13u
#define VECTOR      0x41u
#define CLASS       (VECTOR >> 4)
#define GDT_ENTRIES 3u /* of small guests */
#define TSS         (8u * GDT_ENTRIES)
#define TSS_SIZE    0x68u
#define TSS_TYPE    0x89ull /* 64-bit, available */
#define TSS_BUSY    BIT(41)

#define CR4_RESERVED BIT(31)
#define RFLAGS_RF    BIT(16)

void events_nmi(void);
void events_interrupt(void);
extern u8 nmi_iret[];
extern volatile u64 nmi_rip[4];
extern volatile u32 nmi_count, interrupt_count;

struct table {
	u16 limit;
	u64 base;
} __attribute__((packed));

static void verdict(const char *name, bool good)
{
	put_verdict(good);
	put_text("events_");
	put_text(name);
	put_text("\n");
}

static volatile u32 *apic(u32 reg)
{
	return (volatile u32 *)(LAPIC + reg);
}

static void set_cr8(u64 value)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

static u64 get_cr8(void)
{
	u64 value;

	__asm__ volatile("mov %%cr8, %0" : "=r"(value));
	return value;
}

static void try_priority(void)
{
	*apic(REG_TPR) = CLASS << 4 | 5;
	(void)cpuid(0, 0);
	verdict("tpr-low-bits", *apic(REG_TPR) == (CLASS << 4 | 5) && get_cr8() == CLASS);
	set_cr8(CLASS);
	__asm__ volatile("cli");
	*apic(REG_ICR) = ICR_ASSERT | ICR_SELF | VECTOR;
	__asm__ volatile("sti");
	for (u32 i = 0; i < 100; i++)
		(void)cpuid(0, 0);
	verdict("own-class-waits", interrupt_count == 0);
	set_cr8(CLASS - 1);
	verdict("lower-tpr-lets-in", interrupt_count == 1);
	*apic(REG_ICR) = ICR_ASSERT | ICR_SELF | VECTOR;
	verdict("above-tpr", interrupt_count == 2);
	__asm__ volatile("cli");
	set_cr8(0);
}

static void try_nmi(void)
{
	*apic(REG_ICR2) = 0;
	*apic(REG_ICR) = ICR_ASSERT | ICR_NMI;
	(void)cpuid(0, 0);
	verdict("nmi-in-nmi", nmi_count == 2);
	verdict("nmi-after-iret", nmi_rip[1] == nmi_rip[0] && nmi_rip[1] != (u64)nmi_iret);
}

/* LTR with its selector in a register of the local APIC. */
static void try_ltr(void)
{
	static u64 gdt[GDT_ENTRIES + 2];
	static u8 tss[TSS_SIZE];
	struct table old, table = {sizeof(gdt) - 1, (u64)gdt};
	u64 base = (u64)tss;
	u16 selector;

	__asm__ volatile("sgdt %0" : "=m"(old));
	for (u32 i = 0; i < GDT_ENTRIES; i++)
		gdt[i] = ((u64 *)old.base)[i];
	gdt[GDT_ENTRIES] = (TSS_SIZE - 1) | (base & 0xffffff) << 16 | TSS_TYPE << 40 |
			   (base >> 24 & 0xff) << 56;
	gdt[GDT_ENTRIES + 1] = base >> 32;
	__asm__ volatile("lgdt %0" : : "m"(table));
	*apic(REG_LVT) = LVT_MASKED;
	*apic(REG_COUNT) = TSS;
	__asm__ volatile("ltr %1\n\tstr %0"
			 : "=r"(selector)
			 : "m"(*(volatile u16 *)apic(REG_COUNT))
			 : "memory");
	verdict("ltr-from-a-device", selector == TSS && gdt[GDT_ENTRIES] & TSS_BUSY);
	__asm__ volatile("lgdt %0" : : "m"(old));
}

/* The resume flag is pushed with a fault, whoever raises it (SDM vol. 3, 18.3.1.1). */
static void try_fault(void)
{
	u64 cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	TRY("mov %0, %%cr4", "r"(cr4 | CR4_RESERVED));
	verdict("fault-sets-rf", fault.vector == GP && fault.rflags & RFLAGS_RF);
}

void small_main(const char *cmdline)
{
	(void)cmdline;
	set_gate(NMI, events_nmi);
	set_gate(VECTOR, events_interrupt);
	*apic(REG_SVR) = SVR_ENABLE;
	try_priority();
	try_nmi();
	try_ltr();
	try_fault();
	put_sum("events");
}
