/*
 * GDB's remote serial protocol (GDB manual, appendix E) on a serial line of the machine: a `serial`
 * session of the VMM's own, as the partition's `debug` property asks. All-stop; the threads are the
 * vCPUs, numbered from 1 on. A debugger attaches with its first packet. One that goes away leaves
 * the guest as it is, and the next takes over.
 */
#pragma once

#include "guests/vmm/debug/packet.h"
#include "guests/vmm/machine.h"

struct start_resource;

/*
 * Opens the line, and removes breakpoints that a VMM before this one left in the guest's memory.
 * wait: the guest does not run before a debugger lets it. False: the session is too small.
 */
bool gdb_open(struct machine *m, const struct start_resource *r, bool wait);

/* Bytes came, or a vCPU is held: does what can be done. The first vCPU's thread, under the lock. */
void gdb_attend(struct machine *m);

/* The guest is over: tells the debugger. Under the lock. */
void gdb_guest_ended(struct machine *m, bool failed);

/* Carries out the command in m->debug.in, all vCPUs held, and answers in m->debug.out; false: there
 * is no answer yet. */
bool gdb_command(struct machine *m);

/* Puts a stop reply for a vCPU. */
void gdb_stop_reply(struct machine *m, u32 index);

/* The target description's text. */
extern const char gdb_target_xml[];

#define GDB_REGISTERS 66u

/*
 * Register `number` of a held vCPU in the target's byte order; returns its size in bytes, at most
 * GDB_REGISTER_SIZE, 0: there is none of that number.
 */
#define GDB_REGISTER_SIZE 16u
u32 gdb_register_read(struct vcpu *v, u32 number, void *value);

/* Writes it; false: it cannot be changed to that. */
bool gdb_register_write(struct vcpu *v, u32 number, const void *value);
