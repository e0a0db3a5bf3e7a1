/*
 * The system calls: the kernel's manual for ring 3.
 *
 * Entry. Ring 3 calls the stub page that the kernel maps into every domain at ABI_STUB (executable,
 * not writable). RAX is the system-call number (bits 7:0); the arguments are in RDI, RSI, RDX, R8,
 * R9, R10. RAX returns a status of status.h; the outputs are in RDI, RSI, RDX, R8, R9. RCX and R11
 * are lost, as are the argument registers that carry no output; RBX, RBP, R12-R15, RSP are kept.
 * Larger arguments and results lie in the calling thread's message page (struct msg_* below), which
 * is a frame of the kernel's; the kernel copies what it needs once and never follows a pointer of
 * ring 3.
 *
 * A call either does all that it says or changes nothing and returns an error. An argument's check
 * order is unspecified. Every call may return BAD_CAP, GONE, BAD_KIND, DENIED and BAD_ARG for its
 * capabilities and arguments; these are not repeated below. Times are absolute TSC values in
 * cycles; TIME_NEVER waits for ever, and a time that has passed polls.
 *
 * CPUs. Threads and vCPUs belong to one CPU. ipc_call and vcpu_run must be made on it (BAD_CPU);
 * the other calls may concern any CPU and then park the calling thread until that CPU has done its
 * part.
 */
#pragma once

#include "boot.h"
#include "status.h"

#define ABI_STUB     0x10000ull         /* address of the entry stub in every domain */
#define ABI_USER_MIN 0x11000ull         /* lowest address that a domain may map */
#define ABI_USER_END 0x00007ffffffff000 /* first address that it may not */
#define TIME_NEVER   (~0ull)
#define CAP_NULL     0u
#define CAP_MAX      32768u /* slots in a domain's table */

enum syscall {
	SYS_IPC_CALL = 0,
	SYS_IPC_REPLY_WAIT = 1,
	SYS_EVENT_SIGNAL = 2,
	SYS_EVENT_WAIT = 3,
	SYS_VCPU_RUN = 4,
	SYS_VCPU_CTL = 5,
	SYS_OBJ_CREATE = 6,
	SYS_OBJ_DESTROY = 7,
	SYS_CAP_GRANT = 8,
	SYS_MEM_MAP = 9,
	SYS_MEM_UNMAP = 10,
	SYS_VM_TRAP = 11,
	SYS_IRQ_CTL = 12,
	SYS_DEV_CTL = 13,
	SYS_THREAD_CTL = 14,
	SYS_SYS_CTL = 15,
	SYS_COUNT = 16,
};

/* The kinds of object that a capability can name. KIND_SYS is the machine itself, not an object. */
enum kind {
	KIND_NONE = 0,
	KIND_DOMAIN = 1,
	KIND_THREAD = 2,
	KIND_PORT = 3,
	KIND_EVENT = 4,
	KIND_MEM = 5,
	KIND_VM = 6,
	KIND_VCPU = 7,
	KIND_IRQ = 8,
	KIND_DEV = 9,
	KIND_SYS = 10,
	KIND_COUNT = 11,
};

/* Rights. A copy of a capability has at most the rights of its source. */
#define RIGHT_GRANT   BIT(0) /* any: may be copied by cap_grant */
#define RIGHT_DESTROY BIT(1) /* any: obj_destroy */
#define RIGHT_CTL     BIT(2) /* thread_ctl, vcpu_ctl, irq_ctl, vm_trap on it */
/* domain: pays for objects; vm: vcpus; mem: parts, pools; sys: irqs */
#define RIGHT_CREATE BIT(3)
#define RIGHT_FILL   BIT(4)  /* domain: its table may be written; its address space may be mapped */
#define RIGHT_READ   BIT(5)  /* mem: may be mapped readable */
#define RIGHT_WRITE  BIT(6)  /* mem: may be mapped writable */
#define RIGHT_EXEC   BIT(7)  /* mem: may be mapped executable */
#define RIGHT_CALL   BIT(8)  /* port: ipc_call */
#define RIGHT_RUN    BIT(9)  /* vcpu: vcpu_run */
#define RIGHT_POWER  BIT(10) /* sys: the ports of power and reset, panic */
#define RIGHT_LOG    BIT(11) /* sys: read the kernel's log */
#define RIGHT_PORTS  BIT(12) /* sys: give I/O ports */
/* domain: pays for threads and domains; thread: THREAD_CTL_SCHED. Time and CPUs are its holder's */
#define RIGHT_SCHED BIT(13)
#define RIGHT_DMA   BIT(15) /* mem: may be attached to a dev */
#define RIGHT_PCI   BIT(14) /* sys: configuration space of all PCI functions */
#define RIGHT_ALL   0xffffffffu

/*
 * ipc_call: calls the server thread behind a port and waits for its reply.
 *   RDI port (CALL); RSI, RDX, R8, R9 four words; RAX bits 15:8: number of words (0-255) that are
 * copied from the caller's message page to the server's, from its beginning. Returns OK: RSI, RDX,
 * R8, R9 of the reply, and as many words in the message page as the server said, but no more than
 * IPC_MAX_WORDS; RDI is the number of words. BAD_CPU: the server is on another CPU. GONE: the port,
 * or the server during the call, was destroyed. DEADLOCK: the server waits, directly or not, for
 * the caller. The caller's time and priority serve the server until it replies.
 */
#define IPC_MAX_WORDS 255u

/*
 * ipc_reply_wait: replies to the call being served, if there is one, and waits for the next.
 *   RSI, RDX, R8, R9 and RAX bits 15:8 (message words) are the reply; RDI the mask of event bits
 * that end the wait; R10 the deadline. Returns OK: a call: RDI the badge of its port, RSI, RDX, R8,
 * R9 its words, the message words in the message page, RAX bits 15:8 their number (so test the low
 * byte of RAX for the status). EVENT: RDI the bits of the mask that were set; they are cleared.
 * TIMEOUT. BAD_STATE: the thread has no port and waits for nothing.
 */

/*
 * event_signal: sets bits of an event. RDI event capability; RSI bits.
 *   DENIED: a bit is not in the capability's mask. Bits that are set already stay set. Any CPU, no
 * wait.
 *
 * event_wait: waits for bits of the calling thread's own event. RDI mask; RSI deadline.
 *   EVENT: RDI the bits of the mask that were set; they are cleared. TIMEOUT.
 */

/*
 * vcpu_run: runs a guest CPU. RDI vcpu (RUN); RSI mask of event bits that end it; RDX deadline.
 *   The calling thread must be the vcpu's thread (BAD_STATE). See run.h for the run page.
 *   OK: an exit for the caller is in the run page. EVENT: RDI the bits, which are cleared; TIMEOUT;
 * in both cases no exit is pending, and the run page holds the groups of export[EXIT_NONE].
 *
 * vcpu_ctl: RDI vcpu (CTL); RSI operation; RDX, R8, R9 arguments.
 *   The vcpu must not be inside vcpu_run on another CPU (BUSY).
 */
enum vcpu_ctl_op {
	VCPU_CTL_MAP = 0, /* map the run page at RDX and the APIC page at RDX + 4 KiB of the calling
			     domain, replacing an earlier mapping anywhere; EXISTS, NO_MEMORY */
	VCPU_CTL_FETCH = 1, /* export the register groups RDX into the run page */
	/* event bits RDX of the vcpu's thread become vector R8 (16-255; 0 undoes) */
	VCPU_CTL_BIND = 2,
	/* message page := XSAVE image (standard format, as XCR0 allows) at offset RDX (0 or
	   4096-multiple); RDI returns its whole size in bytes */
	VCPU_CTL_FPU_GET = 3,
	VCPU_CTL_FPU_SET = 4, /* the reverse; DAMAGED: the image would fault */
	VCPU_CTL_STATS = 5,   /* message page := struct msg_vcpu_stats */
	/* make the thread RDX (a capability, CTL) the one that runs it, from now on */
	VCPU_CTL_THREAD = 6,
};

/*
 * obj_create: RDI kind; RSI domain that pays (CREATE; for a domain or a thread also SCHED); RDX
 * slot of the calling domain's own table that gets the capability, with all rights (EXISTS: taken);
 * the message page holds struct msg_create_KIND. NO_MEMORY: the paying domain's pool is empty.
 *
 * obj_destroy: RDI capability (DESTROY). Every capability to the object answers GONE from then on.
 * A domain takes with it all that it pays for; a mem is unmapped everywhere and given back to the
 * mem from which it was cut, or to nobody if it was root's from the start (BAD_ARG); BUSY: a mem
 * with parts. Returns when no CPU uses the object any more and its memory is free. Not allowed: the
 * domain of the calling thread (BAD_ARG).
 */
struct msg_create_domain {
	u32 pool; /* mem (CREATE): becomes the pool; comes back when the domain dies. Who pays for
		     the mem must pay for the domain too, directly or not (BAD_ARG) */
	u32 supervisor; /* event that gets the bits below when a thread of the domain stops, or
			   CAP_NULL */
	u64 supervisor_bits;
	char name[16]; /* for the log and panics */
};

#define THREAD_FPU        BIT(0)  /* the thread uses x87/SSE/AVX registers */
#define THREAD_PERIOD_MAX BIT(62) /* so that a period begun now ends before TIME_NEVER */

struct msg_create_thread { /* the thread runs in the domain that pays, and is stopped at first */
	u32 cpu;           /* index of boot_info.cpu[] */
	u32 priority;      /* 1 (least) to 63 */
	u64 budget;        /* cycles in each period; 0: unlimited */
	u64 period;        /* cycles, at least budget, at most THREAD_PERIOD_MAX */
	u64 entry;         /* RIP */
	u64 stack;         /* RSP */
	u64 arg;           /* RDI */
	u64 fs_base;
	u64 message; /* address for the message page, page-aligned, free (EXISTS) */
	u64 flags;   /* THREAD_* */
};

struct msg_create_port {
	u32 thread, reserved; /* server (CTL) */
	u64 badge;            /* given to the server with each call */
};

struct msg_create_event {     /* not an object of its own: a capability to a thread's event */
	u32 thread, reserved; /* (CTL) */
	u64 mask;             /* bits that the holder may set */
};

enum mem_cache { /* cache attributes, as in the PAT */
	MEM_CACHE_WB = 0,
	MEM_CACHE_UC = 1,
	MEM_CACHE_WC = 2,
	MEM_CACHE_WT = 3,
};

struct msg_create_mem {
	u32 parent; /* mem (CREATE), not mapped anywhere (BUSY); OVERLAP: another part lies there */
	u32 cache;  /* enum mem_cache; RAM is WB only */
	u64 offset; /* bytes in the parent, page-aligned */
	u64 size;   /* bytes, page-aligned */
};                  /* the frames are zero, but in device memory and boot files */

struct msg_create_vcpu {
	u32 vm;     /* (CREATE); its payer must be the vcpu's, or pay for that domain (BAD_ARG) */
	u32 thread; /* the thread that runs it (CTL) */
};

struct msg_create_irq {
	u32 source; /* sys (CREATE): a GSI; dev (CTL): a message of it, MSI-X if it has that, else
		       MSI; NOT_SUPPORTED: it cannot send that one, or not to the event's CPU */
	u32 number; /* GSI, or index of the message */
	u32 flags;  /* BOOT_IRQ_* of boot.h; a message: 0 */
	u32 event;  /* gets the bits below at each interrupt */
	u64 bits;
};

/*
 * cap_grant: RDI domain (FILL) whose slot RSI becomes a copy of the calling domain's slot RDX
 * (GRANT) with the rights R8 (those the source has not are dropped); for an event, R9 is the new
 * mask (DENIED if wider). EXISTS: the slot is taken. With RDX = CAP_NULL the slot is emptied
 * instead.
 */

/*
 * mem_map: RDI domain, vm or dev (FILL; a vm, a dev: CTL); RSI mem; RDX address; R8 offset in the
 * mem; R9 size; R10 flags. Everything page-aligned. For a dev (DMA on the mem) RDX is ignored, and
 * RDI returns the bus address at which the device finds it; with MAP_AT the device finds it at RDX
 * (NOT_SUPPORTED: no IOMMU translates for it). EXISTS: part of the range is mapped already.
 * NO_MEMORY. BUSY: the mem has parts. BAD_STATE: it, or a part of it, was a pool, and holds what
 * the kernel left there: map a part, which is clear. BAD_ARG: more than 64 GiB, or, if address and
 * memory do not lie alike in their 2 MiB, 128 MiB, for a call takes no longer than that. With
 * MAP_POOL (domain, CREATE on the mem; RDX, R8, R9 ignored) the mem becomes part of the domain's
 * pool, if who pays for it pays for the domain too, directly or not (BAD_ARG).
 *
 * mem_unmap: RDI domain, vm or dev; RSI address: the address of a mapping made by one mem_map; the
 * whole mapping goes. NOT_FOUND. Returns when no CPU can use it any more.
 */
#define MAP_READ  BIT(0)
#define MAP_WRITE BIT(1)
#define MAP_EXEC  BIT(2) /* not with MAP_WRITE in a domain */
#define MAP_POOL  BIT(3)
#define MAP_AT    BIT(4) /* dev only */

/*
 * vm_trap: RDI vm (CTL); RSI first port; RDX count; R8 disposition; R9 event for TRAP_EVENT: a
 * write is swallowed and sets the event bits that its capability allows. NO_SPACE: more than
 * VM_MAX_DOORBELLS doorbells; after it, NO_MEMORY and GONE, all ports of the range exit. MSRs that
 * the hardware switches with the vcpu are the guest's own, and all others exit.
 */
enum trap_disposition {
	TRAP_EXIT = 0,
	TRAP_EVENT = 1,
};
#define VM_MAX_DOORBELLS 64

/* irq_ctl: RDI irq (CTL); RSI operation. A level interrupt stays masked from its event until
 * IRQ_CTL_ACK. */
enum irq_ctl_op {
	IRQ_CTL_ACK = 0,
	IRQ_CTL_MASK = 1,
	IRQ_CTL_UNMASK = 2,
};

struct msg_create_dev { /* the function does no DMA and sends no messages until it is started */
	u32 sys;        /* (CREATE) */
	u32 function;   /* segment << 16 | bus << 8 | device << 3 | function; NOT_FOUND; BUSY: there
			   is a dev of it; BAD_ARG: a bridge, an IOMMU */
	u32 requester;  /* likewise, the ID that its requests carry: its own, a bridge's or an
			   alias; BUSY: those of another dev carry it. NO_SPACE: there are too many
			   devs behind IOMMUs. DENIED: the firmware wants to keep memory open to it
			   that is in use */
};

/*
 * dev_ctl: RDI dev (CTL; START: RUN) or, for READ and WRITE, sys (PCI); RSI operation; with sys RDX
 * is the function, as in msg_create_dev. What of a write concerns bus mastering, messages, power
 * states or resets has no effect, whoever makes it.
 */
enum dev_ctl_op {
	DEV_CTL_READ = 0,  /* RDI := R9 (1, 2, 4) bytes of configuration space at R8, a multiple of
			      it below 4096; all bits are 1 where there is nothing */
	DEV_CTL_WRITE = 1, /* sys only: R10 is written there */
	DEV_CTL_START = 2, /* DMA is allowed, to what is attached if there is an IOMMU; ends a
			      reset, with the addresses of before */
	DEV_CTL_QUIESCE = 3, /* DMA and messages are stopped */
	DEV_CTL_FENCE = 5,   /* RDI := FENCE_* bits: what holds it back; sys: what would hold back a
				requester RDX */
	DEV_CTL_RESET = 4,   /* likewise, and begins a reset of the function alone, which takes 100
				ms; NOT_SUPPORTED: it has none that leaves its neighbours alone */
};

#define FENCE_DMA        BIT(0) /* an IOMMU lets it reach what is attached, while it is started */
#define FENCE_INTERRUPTS BIT(1) /* and send its own messages, and no others */

enum dma_fault_kind {
	DMA_FAULT_OTHER = 0,
	DMA_FAULT_BLOCKED = 1,   /* it is not started, or nobody has it */
	DMA_FAULT_ADDRESS = 2,   /* nothing is attached there, or not for writing */
	DMA_FAULT_INTERRUPT = 3, /* a message that is not its own */
};

struct msg_dma_fault {
	u32 function; /* as in msg_create_dev: the requester */
	u32 kind;     /* enum dma_fault_kind */
	u64 address;  /* bus address of the page, if it was an access to memory */
	u32 reason;   /* the IOMMU's own code: VT-d specification, 7.1.3; AMD-Vi: event code */
	u32 write;    /* else a read */
};

/*
 * thread_ctl: RDI thread (CTL); RSI operation.
 *   BAD_STATE: see the operation.
 */
enum thread_ctl_op {
	THREAD_CTL_RESUME = 0, /* let a stopped thread run; BAD_STATE: it is not stopped */
	THREAD_CTL_STOP = 1,  /* stop it; a wait that it is in returns TIMEOUT when it is resumed */
	THREAD_CTL_GET = 2,   /* message page := struct msg_thread; BAD_STATE: not stopped */
	THREAD_CTL_SET = 3,   /* registers := struct msg_thread; BAD_STATE: not stopped */
	THREAD_CTL_STATS = 4, /* message page := struct msg_thread_stats */
	THREAD_CTL_SCHED = 5, /* (also SCHED) RDX priority, R8 budget, R9 period in cycles */
};

enum fault_kind {            /* why a thread is stopped */
	FAULT_NONE = 0,      /* never started, or THREAD_CTL_STOP */
	FAULT_EXCEPTION = 1, /* vector, error and address say which */
	FAULT_EXIT = 2,      /* it asked to be: SYS_CTL_EXIT */
};

struct msg_thread {
	u64 gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 */
	u64 rip;
	u64 rflags;
	u64 fs_base;
	u32 fault;   /* enum fault_kind; SET ignores this and the rest */
	u32 vector;  /* of the exception */
	u64 error;   /* its error code, or the argument of SYS_CTL_EXIT */
	u64 address; /* CR2 of a page fault */
};

struct msg_thread_stats {
	u64 run_time; /* cycles charged to it, lent time of others not counted */
	u64 calls;    /* system calls are not counted: times it was switched to */
	u32 cpu;
	u32 priority;
	u64 wait_time; /* cycles in which it could have run, but others did, or its budget was used
			  up; a wait under way is counted at its end */
};

/*
 * sys_ctl: RDI sys capability (the right that the operation names); RSI operation.
 *   Operations marked * need no capability (RDI ignored).
 */
enum sys_ctl_op {
	SYS_CTL_NOP = 0,      /* * does nothing: the null system call */
	SYS_CTL_EXIT = 1,     /* * stops the calling thread with FAULT_EXIT and RDX as its error */
	SYS_CTL_LOG_READ = 2, /* LOG: message page := next bytes of the kernel's log; RDI their
				 number, 0 if none */
	/* LOG: event bits (event capability RDX) set when a log line is added */
	SYS_CTL_LOG_EVENT = 3,
	/* PORTS: domain RDX may use I/O ports R8 .. R8 + R9 - 1; DENIED: the kernel's, or with
	   POWER those that switch the machine off or reset it, for another domain than the caller's
	 */
	SYS_CTL_PORTS = 4,
	SYS_CTL_QUIET = 5,   /* LOG: RDX 1: the kernel stops writing its log on the serial port and
				the    screen; 0: it does so again */
	SYS_CTL_POOL = 6,    /* * RDX domain: RDI free bytes, RSI all bytes of its pool */
	SYS_CTL_PANIC = 7,   /* POWER: panic, to test what it prints */
	SYS_CTL_MACHINE = 8, /* * message page := struct msg_machine */
	SYS_CTL_DMA_FAULT = 10, /* LOG: message page := struct msg_dma_fault, the next access that
				   an IOMMU refused; NOT_FOUND: none. When one comes after that,
				   the event of LOG_EVENT is set */
	SYS_CTL_LOG_WRITE = 9,  /* LOG: writes R8 bytes (at most 256) of the message page as a line
				    of the log */
};

struct msg_machine {
	struct boot_features features;
	bool delivery; /* hardware delivers interrupts into guests */
	bool hardware; /* RUN_HARDWARE has an effect: posted interrupts, or x2AVIC */
	u32 fpu_size;  /* bytes of an XSAVE image */
	u32 cpus;      /* that are up */
	u64 tsc_hz;
	u64 image_bytes;    /* kernel text and data */
	u64 first_task_tsc; /* TSC cycles from kernel entry to the first instruction of root */
};

struct msg_vcpu_stats;
