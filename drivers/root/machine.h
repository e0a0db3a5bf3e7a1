/*
 * What root's files share: the machine as it found it, its capability slots, its memory, its boot
 * files, its log.
 *
 * All of this belongs to the main thread (before that, to the first thread while it sets up);
 * service threads touch their queue and nothing else.
 */
#pragma once

#include "drivers/lib/lib.h"
#include "kernel/abi/root.h"

/* Root's own address space. */
#define ROOT_MAIN_MESSAGE    0x100000ull    /* message page of the main thread */
#define ROOT_SERVICE_MESSAGE 0x101000ull    /* + CPU * PAGE_SIZE: those of the service threads */
#define ROOT_AREA            0x100000000ull /* stacks and queues, see service.c */
#define ROOT_SESSION         0x140000000ull /* the operator's console session */
#define ROOT_BUS             0x160000000ull /* the bus domain's session */
#define ROOT_ROM             0x168000000ull /* a part of an expansion ROM */
#define ROOT_PULSE           0x170000000ull /* + member index * PAGE_SIZE: pages of health.c */
#define ROOT_WINDOW          0x180000000ull /* memory being filled for others */
#define ROOT_FILES           0x200000000ull /* boot files */

/* Bits of the main thread's event. */
#define ROOT_BIT_SERVICE    0 /* a service thread queued a record */
#define ROOT_BIT_LOG        1 /* the kernel's log has lines */
#define ROOT_BIT_CONSOLE    2 /* the operator's session */
#define ROOT_BIT_BUS        3 /* the bus domain's */
#define ROOT_BIT_SUPERVISE  8 /* + member index modulo ROOT_SUPERVISE_BITS */
#define ROOT_SUPERVISE_BITS 56

#define ROOT_MAIN_PRIORITY 58

extern const struct boot_info *const boot;

/* The calling thread's message page; switched once, when the main thread takes over. */
extern void *message;

extern cap_t main_thread;
extern cap_t main_event; /* all bits of the main thread's event */

u64 seconds_now(void);

/* --- slots.c: root's capability table --- */

/* A free slot, or CAP_NULL when the table is full. */
cap_t slot_new(void);

/* Empties a slot and makes it free; *slot becomes CAP_NULL, and may be that. */
void slot_free(cap_t *slot);

/* obj_create in a new slot of root's; the message page holds the arguments. *slot is CAP_NULL on
 * errors. */
status_t object_new(enum kind kind, cap_t payer, cap_t *slot);

/* obj_destroy, where it is not gone already, and slot_free. */
void object_end(cap_t *slot);

/* A capability to the event of `thread` with bits `mask`. */
status_t event_new(cap_t payer, cap_t thread, u64 mask, cap_t *slot);

/* --- memory.c: memory to give out --- */

/* A mem cut from the free ranges. */
struct memory {
	cap_t cap; /* CAP_NULL: none */
	paddr_t base;
	u64 size;
};

/* Takes stock of the free ranges. */
void memory_init(void);

/*
 * Cuts `size` bytes (rounded up to pages), zeroed and charged to `payer`. NO_SPACE: the machine has
 * no place that is large enough. NO_MEMORY: the payer's pool is empty.
 */
status_t memory_new(cap_t payer, u64 size, struct memory *m);

/* Destroys a mem and takes its memory back; does nothing if there is none. */
void memory_end(struct memory *m);

/* Maps the mem, or its first `size` bytes (whole pages), writable at ROOT_WINDOW, one at a time,
 * and away again. NULL on errors. */
void *memory_open(const struct memory *m);
void *memory_open_part(const struct memory *m, u64 size);
void memory_close(void);

u64 memory_free_bytes(void);
u64 memory_all_bytes(void);
u64 memory_largest(
	void); /* the largest size that memory_new gives at once; large pages if there are any */

/* --- files.c: boot files --- */

/* Maps boot file `index` read-only into root, once; NULL on errors. */
const void *file_open(u32 index);

/* --- log.c: the log --- */

/* Writes a line in the name of `name`, a program. */
void log_program(const char *name, const char *text, size_t size);

/* Starts listening to the kernel's log. */
void log_start(void);

/* Takes new lines from the kernel's log into the recent lines and, if `forward`, to the operator's
 * console. */
void log_drain(bool forward);

/* What the kernel has shown itself ends here. */
void log_shown(void);

/* Leaves those lines, the recent ones, in the state of the display's driver (protocols/display.h),
 * which shows them again. */
void log_leave(const struct memory *state);

/* Prints the recent lines through `print`. */
void log_recent(void (*print)(const char *text, u32 size));
