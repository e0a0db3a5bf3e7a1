/* What an emulated instruction reaches: memory through the guest's page tables, ports, vector
 * registers. */
#pragma once

#include "guests/vmm/cpu/gwalk.h"
#include "guests/vmm/cpu/instr.h"
#include "guests/vmm/vcpu.h"

struct bus {
	struct vcpu *v;
	enum instr_mode mode;
	bool user;       /* ring 3 */
	u32 linear_bits; /* of canonical addresses */
	struct gwalk_mode walk;

	/* the fault that a failed access gives */
	bool faulted;
	u8 vector;
	u32 error;
	u64 address; /* of a page fault */
};

/* Prepares for one instruction of the vCPU; fetches the register groups that it needs. */
void bus_init(struct bus *b, struct vcpu *v);

/* Linear address of `rip`, an offset in the code segment. */
u64 bus_code_address(const struct bus *b, u64 rip);

/* Is a linear address canonical? Always so outside 64-bit mode. */
bool bus_canonical(const struct bus *b, u64 linear);

/* Notes a fault. */
void bus_fault(struct bus *b, u8 vector, u32 error);

/* Fetches the code bytes at RIP that lie in one page, or, with *count not 0, adds those in the next
 * one; false: a fault is noted. */
bool bus_fetch(struct bus *b, u8 bytes[INSTR_LENGTH_MAX], u32 *count);

/* Gives the guest the fault that was noted. */
void bus_deliver(struct bus *b);

/* Linear to guest-physical for GWALK_WRITE, GWALK_FETCH or 0; false: a page fault is noted. */
bool bus_translate(struct bus *b, u64 linear, u32 access, gpa_t *gpa);

/* Moves up to a page's worth of bytes; access: INSTR_ACCESS_*. Not 0: a fault is noted. */
int bus_access(struct bus *b, u64 linear, u8 *data, unsigned size, unsigned access, bool write);

/* Callback `system` of instr_execute; opaque: the bus. */
int bus_system(void *opaque, enum instr_operation operation, u16 *word, u64 *base);

/* instr_execute with the callbacks of this machine. */
enum instr_status bus_execute(
	struct bus *b, const struct instr *in, struct instr_cpu *cpu, u32 iterations);
