/*
 * What root gives to a program when it starts: a read-only page with everything it may use.
 *
 * Root starts one thread of the program, on the first CPU of the node's `cpus`, at the ELF entry
 * with RDI = START_INFO and FS = START_INFO's `first`. START_THREAD resources are capabilities to
 * more threads of the same domain, stopped, which the program sets up with thread_ctl (thread_start
 * in lib.h).
 */
#pragma once

#include "kernel/abi/syscall.h"

#define START_INFO       0x20000ull  /* address of struct start_info in each program but root */
#define START_MESSAGE    0x1f000ull  /* message page of the first thread */
#define START_MESSAGES   0x30000ull  /* message pages of the other threads, one after another */
#define START_STACK_TOP  0x3f0000ull /* first stack; START_STACK_SIZE below it is mapped */
#define START_STACK_SIZE 0x10000ull
#define START_STACKS     0x100000ull       /* stacks of the other threads: start_stack_top */
#define START_IMAGE      0x400000ull       /* programs are linked here */
#define START_RESOURCES  0x100000000ull    /* files, sessions, state and heap from here on */
#define START_GUEST_RAM  0x100000000000ull /* guest-physical address 0 appears here in a VMM */

#define START_STACK_OTHER 0x4000ull /* bytes of another thread's stack */
#define START_STACK_GUARD 0x4000ull /* and more: below each stack nothing is mapped */

/* Where the stack of thread `n` (0: the first) begins, to grow down. */
static inline u64 start_stack_top(u32 n)
{
	return n == 0 ? START_STACK_TOP
		      : START_STACKS + n * (START_STACK_GUARD + START_STACK_OTHER);
}

/* True if thread `n` has used up its stack when it faults at `address`. */
static inline bool start_stack_used_up(u32 n, u64 address)
{
	u64 end = start_stack_top(n) - (n == 0 ? START_STACK_SIZE : START_STACK_OTHER);

	return end - 1 - address < START_STACK_GUARD;
}

#define START_CAP_DOMAIN 1  /* own domain: create, not destroy */
#define START_CAP_THREAD 2  /* own first thread */
#define START_CAP_ROOT   3  /* root's service port on its CPU (drivers/protocols/root.h) */
#define START_CAP_FIRST  16 /* of resources; slots from START_CAP_OWN on are the program's own */
#define START_CAP_OWN    1024

/* Root hands out bits 0-31 of the first thread's event; those from here on are the program's. */
#define START_BIT_OWN 32

#define START_MAX_RESOURCES 240
#define START_NAME_SIZE     32

/*
 * The fields of struct start_resource that each kind uses:
 * - CONFIG: address, size: a flattened device tree whose root node is the program's node; phandle
 *   properties `backend` and `access` are kept, see `phandle` of a session
 * - FILE: address, size, name: a boot file, mapped read-only; phandle: of the volume that names it,
 *   0 if `boot` does
 * - HEAP: address, size: zeroed memory for the program's own use, lost at a restart
 * - STATE: address, size: memory of the holder: zero at first, kept over restarts
 * - RAM: address, size; value: guest-physical address; cap: mem
 * - SESSION: one end of a session; see below
 * - PORTS: value: first I/O port; size: number; phandle: of the device
 * - IRQ: cap: irq; value: GSI; bit: own event bit that it sets; phandle: of the device
 * - VM: cap: vm
 * - VCPU: cap: vcpu; value: index; 0 belongs to the first thread, n to the n-th THREAD
 * - THREAD: cap: a further thread, stopped; value: CPU index; address: its message page; size: of
 * its stack (start_stack_top)
 * - EVENT: cap: event of root that this program may set; value: its bits
 * - ROOT: cap: root's service port on CPU `value`, for further threads
 * - PCI: cap: sys, with the right to configuration space; phandle: of the host bridge
 * - FUNCTION: cap: dev (dev_ctl), with the right to start DMA if that is allowed; value: function
 * as in msg_create_dev; size: TSC at which its reset is over, 0: it was not reset; phandle: of the
 * device. Its I/O registers are PORTS (bit and role as REGISTERS have them), and where it has no
 * messages its line is an IRQ
 * - REGISTERS: address, size: a memory register of a function, mapped uncached; value, bit: number
 *   of the base address register; role: its lowest four bits, which say of what kind it is;
 *   phandle: of the device; cap: to a VMM, the mem of its pages. To a VMM also with the number
 *   BUS_ROM: a copy of its expansion ROM, read-only
 * - MEM: cap: mem to cut parts and pools from; size. Only with `test-authority`
 * - DMA: address, size: zeroed memory for the program's functions to read and write, lost at a
 *   restart; cap: its mem, which may be attached to a dev
 * - FRAMEBUFFER: address, size: the framebuffer that the firmware left, mapped write-combining:
 *   writes only; value: width and, from bit 32 on, height in pixels of 4 bytes; bit: bytes from
 * line to line; role: BOOT_PIXEL(...); phandle: of the node. What the log said before is in
 *   STATE then (protocols/display.h)
 * - PULSE: address: struct pulse (protocols/pulse.h), writable; value: PULSE_INJECT or 0; bit: own
 *   event bit that root sets. Domains only
 * - GUEST: a part of the RAM of a client's guest, for the program's functions to read and write,
 * not for itself: cap: its mem, which may be attached to a dev; value: guest-physical address;
 * size; name: the session's
 */
enum start_kind {
	START_CONFIG = 1,
	START_FILE = 2,
	START_HEAP = 3,
	START_STATE = 4,
	START_RAM = 5,
	START_SESSION = 6,
	START_PORTS = 7,
	START_IRQ = 8,
	START_VM = 9,
	START_VCPU = 10,
	START_THREAD = 11,
	START_EVENT = 12,
	START_ROOT = 13,
	START_MEM = 14,
	START_PCI = 15,
	START_FUNCTION = 16,
	START_REGISTERS = 17,
	START_DMA = 18,
	START_PULSE = 19,
	START_FRAMEBUFFER = 20,
	START_GUEST = 21,
};

/*
 * A session: `address`, `size`: its memory, laid out as its protocol says; `cap`: the peer's event,
 * which the holder may set with the bits `value`; `bit`: the own event bit that the peer sets;
 * `role`: START_CLIENT or START_SERVER; `name`: the client's name ("root" for the operator's
 * prompt); `protocol`: "console", "serial", ...; `phandle`: of the node in `backend` or `access`
 * that the session stands for, 0 if none. While the peer is away the capability answers GONE or
 * BAD_CAP, which is no error; when it starts or is restarted, root fills the slot (again) and sets
 * `bit`. A server signals each client once when it serves it. `mem`: to a server that has a PCI
 * function, the session's mem, which may be attached to the dev; else CAP_NULL.
 */
#define START_CLIENT 0
#define START_SERVER 1

struct start_resource {
	u32 kind; /* enum start_kind */
	u32 cap;
	u64 address;
	u64 size;
	u64 value;
	u32 bit;
	u32 role;
	u32 phandle;
	u32 mem;
	char name[START_NAME_SIZE];
	char protocol[16];
};
static_assert(sizeof(struct start_resource) == 96);

/* What FS points to in each thread. Hosted archives (libfdt.a) read their stack canary at FS:0x28.
 */
struct start_thread {
	u64 self;      /* address of this block */
	u64 message;   /* address of the thread's message page */
	u32 root_port; /* root's service port on the thread's CPU, CAP_NULL if none */
	u32 cpu;       /* index of the thread's CPU */
	u64 reserved[2];
	u64 canary;
};
static_assert(offsetof(struct start_thread, canary) == 0x28);

/* Only the pages that hold the first `resources` resources are mapped. */
struct start_info {
	u32 abi; /* BULKHEAD_ABI */
	u32 resources;
	u32 cpu;     /* index of the first thread's CPU */
	u32 restart; /* 0 at the first start of the program, then counts its restarts */
	u64 tsc_hz;
	u64 wall_clock; /* Unix time in nanoseconds when the TSC was wall_tsc */
	u64 wall_tsc;
	u64 seed[4]; /* random, this program's own */
	char name[START_NAME_SIZE];
	struct start_thread first; /* the first thread's block */
	struct start_resource resource[START_MAX_RESOURCES];
};
static_assert(START_INFO + sizeof(struct start_info) <= START_MESSAGES);
