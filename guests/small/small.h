/* What small guests share: output on COM1, faults that are caught, the processor's instructions,
 * PCI functions, power. */
#pragma once

#include "kernel/abi/types.h"

#define PM1_CONTROL   0x604u  /* where the VMM puts the PM block for a direct boot */
#define PM1_POWER_OFF 0x3400u /* SLP_TYP 5, SLP_EN */

#define PCI_SLOTS      32u
#define PCI_SLOT(slot) (0x80000000u | (slot) << 11) /* function 0 of a device of bus 0 */
#define PCI_ID         0x00u
#define PCI_COMMAND    0x04u
#define PCI_WORKS      0x7u /* I/O, memory, bus master */
#define PCI_BAR0       0x10u

#define NO_FAULT 0xffu

struct trap_frame {
	u64 r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* The last fault that TRY caught: its vector or NO_FAULT, error code, CR2 and the flags pushed. */
struct fault {
	u64 vector;
	u64 error;
	u64 address;
	u64 rflags;
};
extern struct fault fault;
extern u64 recover_rip;
extern u64 recover_rsp;

/*
 * Executes assembly text that may fault; `fault` then says what happened. Registers that it changes
 * stand after the text as clobbers; RAX is one of them already. The text must leave the stack
 * pointer alone.
 */
#define TRY(text, inputs, ...)                                                                     \
	do {                                                                                       \
		fault.vector = NO_FAULT;                                                           \
		__asm__ volatile("mov $1f, %%eax\n\tmov %%rax, recover_rip\n\t"                    \
				 "mov %%rsp, recover_rsp\n\t" text "\n1:\tmovq $0, recover_rip"    \
				 :                                                                 \
				 : inputs                                                          \
				 : "rax", "memory", "cc", ##__VA_ARGS__);                          \
	} while (0)
#define NO_INPUTS
#define COMMA ,

/* The guest itself. cmdline: its command line, "" if there is none. */
void small_main(const char *cmdline);

extern u64 interrupts; /* that count_interrupt took */
void count_interrupt(void);

/* Makes this processor use the handlers: the first one does. */
void load_idt(void);

/* Sets the handler of an interrupt vector. */
void set_gate(u32 vector, void (*handler)(void));

void put_text(const char *text);
void put_number(u64 value);
void put_hex(u64 value);

/* "PASS " or "FAIL ", which is counted; the name of the test is to follow. */
void put_verdict(bool good);

/* The line "GUEST: N passed, N failed". */
void put_sum(const char *guest);

/* Waits for a key on COM1. */
void wait_key(void);

/* Is `word` a word of the command line? */
bool has_word(const char *cmdline, const char *word);

_Noreturn void power_off(void);

static inline u8 in8(u16 port)
{
	u8 value;

	__asm__ volatile("in %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline u16 in16(u16 port)
{
	u16 value;

	__asm__ volatile("in %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline u32 in32(u16 port)
{
	u32 value;

	__asm__ volatile("in %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out8(u16 port, u8 value)
{
	__asm__ volatile("out %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(u16 port, u16 value)
{
	__asm__ volatile("out %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(u16 port, u32 value)
{
	__asm__ volatile("out %0, %1" : : "a"(value), "Nd"(port));
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* A double word of configuration space, at PCI_SLOT + offset. */
static inline u32 pci_read(u32 address)
{
	out32(0xcf8, address);
	return in32(0xcfc);
}

static inline void pci_write(u32 address, u32 value)
{
	out32(0xcf8, address);
	out32(0xcfc, value);
}

struct regs4 {
	u32 eax, ebx, ecx, edx;
};

static inline struct regs4 cpuid(u32 leaf, u32 subleaf)
{
	struct regs4 r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}
