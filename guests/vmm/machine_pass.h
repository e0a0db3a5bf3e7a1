/*
 * Functions of the machine's own in the guest's: where their registers decode, and their
 * interrupts.
 */
#pragma once

#include "guests/vmm/dev/pass.h"

#define MACHINE_FUNCTIONS 4u
#define PASS_BITS         16u /* of the first vCPU's thread's event, from START_BIT_OWN on */

/* What this process knows of them besides. */
struct pass_host {
	bool used;                               /* the bits are theirs, not doorbells' */
	u32 bits;                                /* given out, ever */
	u8 bit[MACHINE_FUNCTIONS][PASS_VECTORS]; /* event bit of each message */
	u64 line[MACHINE_FUNCTIONS];             /* event bit of the line; 0: none */
	struct pass_place {
		u64 base;   /* where it is bound; 0: nowhere */
		u64 size;   /* bytes */
		u32 mapped; /* memory: parts that the guest has mapped, by their number */
		bool ports;
	} place[MACHINE_FUNCTIONS][PCI_REGIONS];
};

/* Gives the messages of function `number`, or its line, which sets the bits `line`, their event
 * bits. Before any vCPU runs. */
void machine_pass_bits(struct machine *m, u32 number, u64 line);

/* A BAR of a function changed: pci_bar_changed of pci.h. */
void machine_pass_bar(struct machine *m, u8 devfn, unsigned bar);

/* Configuration space of a function was written. */
void machine_pass_written(struct machine *m, u8 devfn, u32 offset, unsigned size);

/* Accesses to memory BARs, of 1, 2 or 4 bytes; false: no BAR is there. */
bool machine_pass_read(struct machine *m, gpa_t gpa, unsigned size, u32 *value);
bool machine_pass_write(struct machine *m, gpa_t gpa, unsigned size, u32 value);
bool machine_pass_backed(struct machine *m, gpa_t gpa);

/* Event bits of the first vCPU's thread. */
void machine_pass_event(struct machine *m, u64 bits);

/* A fresh process has the functions of a machine whose state is from before. */
void machine_pass_resume(struct machine *m);
