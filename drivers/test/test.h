/* The frame of the test program: cases, and objects that are taken away after each. */
#pragma once

#include "drivers/lib/lib.h"

#define EVENT_BITS     (BIT(33) | BIT(34)) /* of the program's own event, for the cases */
#define EVENT_CHILD    40                  /* supervisor bit of child domains */
#define CHILD_STACK    0x3f0000ull         /* top, one page */
#define CHILD_MESSAGE  0x1f000ull
#define CHILD_POOL     0x20000ull
#define CHILD_PRIORITY 21

struct test_case {
	const char *name;
	void (*run)(void);
};

extern const struct start_info *info;

/* The cases, by file; each list ends with a NULL name. */
extern const struct test_case system_cases[];
extern const struct test_case event_cases[];
extern const struct test_case mem_cases[];
extern const struct test_case thread_cases[];
extern const struct test_case ipc_cases[];
extern const struct test_case domain_cases[];
extern const struct test_case vm_cases[];
extern const struct test_case vcpu_cases[];
extern const struct test_case apic_cases[];
extern const struct test_case device_cases[];
extern const struct test_case device_held_cases[];

/* Runs the cases of a list whose names begin with `only`: a line "PASS name" or "FAIL name" each.
 */
void cases_run(const struct test_case *list, const char *only);
extern u32 cases_passed;
extern u32 cases_failed;

/* Notes a failure of the running case unless the condition holds; the case goes on. */
void want_at(int line, bool ok, const char *what);
void want_status_at(int line, status_t got, status_t wanted, const char *what);
#define want(condition)           want_at(__LINE__, condition, #condition)
#define want_status(call, wanted) want_status_at(__LINE__, call, STATUS_##wanted, #call)

/* True after a failure in the running case: what follows would make no sense. */
bool case_failed(void);

/* An unused slot of the program's own; what it comes to name is destroyed after the case. */
cap_t slot_next(void);

/* Creates an object in a new slot; `args` of `size` bytes go into the message page. CAP_NULL on
 * errors. */
cap_t make(enum kind kind, cap_t payer, const void *args, size_t size);

/* A part of the test memory; consecutive parts follow one another. `align` is a power of two. */
cap_t make_mem(u64 size, u64 align);

/* Maps all of a mem in the program at a fresh address; NULL on errors. */
void *map_mem(cap_t mem, u64 size, u64 flags);

/* An event capability to the program's own thread. */
cap_t make_event(u64 mask);

/* Waits at most `us` for bits of the own event; returns those that came. */
u64 wait_bits(u64 mask, u64 us);

/* A child domain with the page of child.S and one page of stack. CAP_NULL on errors. */
cap_t child_make(u64 pool);

/* A stopped thread in a child domain; `entry` is a label of child.S, `n` tells those of a domain
 * apart. */
cap_t child_thread(cap_t domain, const void *entry, u64 arg, u32 cpu, u32 n);

/* Likewise, with THREAD_* flags. */
cap_t child_thread_with(cap_t domain, const void *entry, u64 arg, u32 cpu, u32 n, u64 flags);

/* Lets a child's thread run and waits for it to stop; false if it does not. */
bool child_run(cap_t thread, struct msg_thread *state);

/* A port to `server` with `badge`. */
cap_t make_port(cap_t server, u64 badge);

/* Index of another CPU that is up, or the own one if there is none. */
u32 other_cpu(void);

/* Misbehaviour that a description asks for by `args`; see main.c. */
void mode_run(const char *mode);

/* Makes system calls with random arguments. `numbers`: how many, and the seed, each of which may be
 * left out. */
void wild_run(const char *numbers);
void bench_run(void);

extern const char child_page[], child_server[], child_echo[], child_bad_server[], child_caller[],
	child_calls[], child_forward[], child_churn[], child_echo_event[], child_exit[],
	child_loop[], child_invalid_opcode[], child_divide[], child_breakpoint[], child_interrupt[],
	child_hlt[], child_cli[], child_rdmsr[], child_port[], child_read[], child_write[],
	child_jump[], child_stack[], child_fpu[], child_fpu_late[], child_fpu_run[],
	child_destroy_late[];
