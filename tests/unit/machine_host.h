/* A whole virtual machine without a kernel: run pages in plain memory, and a fake in place of
 * guests/vmm/host.c. */
#pragma once

#include "guests/vmm/exit.h"
#include "guests/vmm/interrupt.h"
#include "guests/vmm/vcpu.h"
#include "tests/unit/test.h"

#define HOST_RAM    (2ull << 20)
#define HOST_TSC_HZ 1000000000ull
#define HOST_LOG    4096
#define HOST_VCPUS  4

struct host_mapping {
	u64 gpa;
	u64 size;
};

/* What the fake saw. */
struct host {
	char log[HOST_LOG];             /* lines, each with its newline; the oldest are kept */
	u64 signals;                    /* bits that were signalled, ever */
	u64 signals_to[HOST_VCPUS + 1]; /* the same by event: vCPU i's is i + 1 */
	u32 broken;                     /* times that a peer was said to be broken */
	u32 flooded;                    /* times that a peer was said to flood */
	u64 fetched;                    /* groups that were fetched, ever */
	u32 doorbells;                  /* bound now */
	u64 doorbell_bits[65536];       /* by port */
	void (*fetch)(struct vcpu *v, u64 groups); /* what host_fetch does; NULL: notes it */
	void (*wait)(void);                        /* what host_wait does; NULL: nothing */
	u64 wait_bits;                             /* what host_wait returns of its mask */
	cycles_t waited;                           /* what host_waited returned */
	u8 fpu[832];
	u32 mappings; /* registers of the machine's own functions that the guest has mapped */
	struct host_mapping mapping[8];
	u32 lines_done;
	u32 register_bar; /* the last write to such a register that exited */
	u64 register_offset;
	u32 register_value;
	int stopped; /* reason of host_stop, or -1 */
};
extern struct host host;

extern u8 *host_ram;
extern struct machine host_machine;

/*
 * Makes a machine with HOST_RAM bytes of RAM, all zero, and its vCPU in 64-bit mode at 0x1000 with
 * the first 4 GiB mapped one to one. amd: the vendor that CPUID shows.
 */
struct vcpu *host_setup(bool amd);

/* Likewise with `vcpus` vCPUs, at most HOST_VCPUS; the others wait for a start-up IPI. */
struct vcpu *host_setup_smp(bool amd, u32 vcpus);

/* Puts an exit of `kind` whose instruction is `length` bytes long into the run page, handles it,
 * and moves on. */
void host_exit(struct vcpu *v, enum exit_kind kind, u32 length);

/* Is exception `vector` to be injected? */
bool host_raised(const struct vcpu *v, u8 vector);

/* Does the log hold `text`? */
bool host_logged(const char *text);
