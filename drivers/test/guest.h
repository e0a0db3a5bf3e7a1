/* A small real-mode guest for the cases. */
#pragma once

#include "drivers/test/test.h"
#include "kernel/abi/run.h"

#define GUEST_RAM     0x8000ull /* 32 KiB from 0; nothing above */
#define GUEST_HANDLER 0x1800u
#define GUEST_VECTOR  0x20u

extern struct run_page *const run;
extern u32 *const apic; /* APIC page */
extern u8 *guest_ram;
extern cap_t guest_vcpu;

/* Makes a guest in the state after RESET that begins with `code`. False: the case has failed. */
bool guest_begin(const void *code, size_t size);

/* Moves its RIP over the instruction that exited. */
void guest_skip(u64 length);

/* Its handler of GUEST_VECTOR: OUT to `port`, IRET. */
void guest_handler(u8 port);
