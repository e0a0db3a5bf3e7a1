/*
 * Local APIC: xAPIC by memory-mapped registers and x2APIC by MSRs.
 *
 * The registers lie in the vcpu's APIC page, which the kernel shares. The kernel moves requested
 * vectors from the pending word to IRR, delivers the highest one above PPR, and moves it to ISR.
 * Everything else is done here. Only the vcpu's own thread, while the vcpu is not running, may call
 * these functions; lapic_accept and lapic_matches may be called by any thread at any time.
 *
 * Intel SDM vol. 3, chapter 11 (APIC); AMD APM vol. 2, chapter 16.
 */
#pragma once

#include "guests/vmm/dev/device.h"
#include "kernel/abi/run.h"

#define LAPIC_MAGIC   DEVICE_MAGIC('L', 'A', 'P', 'C')
#define LAPIC_VERSION 1

#define LAPIC_DEFAULT_BASE 0xfee00000ull
#define LAPIC_TIMER_HZ     1000000000ull /* undivided clock of the timer: one count a nanosecond */

/* Offsets in the page (SDM vol. 3, table 11-1); x2APIC MSRs are LAPIC_MSR_BASE + offset / 16. */
enum lapic_register {
	LAPIC_ID = 0x020,
	LAPIC_VERSION_REG = 0x030,
	LAPIC_TPR = 0x080,
	LAPIC_APR = 0x090,
	LAPIC_PPR = 0x0a0,
	LAPIC_EOI = 0x0b0,
	LAPIC_RRD = 0x0c0,
	LAPIC_LDR = 0x0d0,
	LAPIC_DFR = 0x0e0,
	LAPIC_SVR = 0x0f0,
	LAPIC_ISR = 0x100, /* eight registers of 32 vectors each */
	LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200,
	LAPIC_ESR = 0x280,
	LAPIC_CMCI = 0x2f0, /* not there */
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERF = 0x340,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
	LAPIC_SELF_IPI = 0x3f0, /* x2APIC only */
};

#define LAPIC_MSR_APIC_BASE    0x1bu
#define LAPIC_MSR_TSC_DEADLINE 0x6e0u
#define LAPIC_MSR_BASE         0x800u
#define LAPIC_MSR_END          0x900u

#define LAPIC_BASE_BSP    BIT(8) /* IA32_APIC_BASE (SDM vol. 3, 11.4.4 and 11.12.1) */
#define LAPIC_BASE_X2APIC BIT(10)
#define LAPIC_BASE_ENABLE BIT(11)

#define LAPIC_VERSION_VALUE 0x01050014u /* version 0x14, six LVTs, EOI-broadcast suppression */

#define LAPIC_SVR_VECTOR      0xffu /* also the reset value */
#define LAPIC_SVR_ENABLE      0x100u
#define LAPIC_SVR_NO_EOI_CAST 0x1000u
#define LAPIC_SVR_WRITABLE    0x13ffu /* with the vector; bit 9 is focus checking */

#define LAPIC_LVT_VECTOR       0x000000ffu
#define LAPIC_LVT_DELIVERY     0x00000700u
#define LAPIC_LVT_PENDING      0x00001000u
#define LAPIC_LVT_POLARITY     0x00002000u
#define LAPIC_LVT_REMOTE_IRR   0x00004000u
#define LAPIC_LVT_LEVEL        0x00008000u
#define LAPIC_LVT_MASKED       0x00010000u
#define LAPIC_LVT_TIMER_MODE   0x00060000u
#define LAPIC_LVT_ONE_SHOT     0x00000000u
#define LAPIC_LVT_PERIODIC     0x00020000u
#define LAPIC_LVT_TSC_DEADLINE 0x00040000u

#define LAPIC_ESR_SEND_ILLEGAL     BIT(5)
#define LAPIC_ESR_RECEIVE_ILLEGAL  BIT(6)
#define LAPIC_ESR_ILLEGAL_REGISTER BIT(7)

#define LAPIC_ICR_VECTOR    0x000000ffu
#define LAPIC_ICR_DELIVERY  0x00000700u
#define LAPIC_ICR_LOGICAL   0x00000800u
#define LAPIC_ICR_ASSERT    0x00004000u
#define LAPIC_ICR_LEVEL     0x00008000u
#define LAPIC_ICR_SHORTHAND 0x000c0000u
#define LAPIC_ICR_WRITABLE  0x000ccfffu

#define LAPIC_ICR_DELIVERY_SHIFT  8
#define LAPIC_ICR_SHORTHAND_SHIFT 18
#define LAPIC_ICR_PENDING         0x1000u /* delivery status: reads 0 */
#define LAPIC_XAPIC_ID_SHIFT      24      /* in ID, LDR and ICR_HIGH */
#define LAPIC_XAPIC_BROADCAST     0xffu
#define LAPIC_X2_CLUSTER_SHIFT    16 /* in the x2APIC's LDR */

/* Interrupt messages (SDM vol. 3, 11.11). */
#define LAPIC_MESSAGE_BASE       0xfee00000ull
#define LAPIC_MESSAGE_MASK       0xfffffffffff00000ull
#define LAPIC_MESSAGE_DEST_SHIFT 12
#define LAPIC_MESSAGE_LOGICAL    0x4u
#define LAPIC_MESSAGE_VECTOR     0xffu
#define LAPIC_MESSAGE_DELIVERY   0x700u
#define LAPIC_MESSAGE_ASSERT     0x4000u
#define LAPIC_MESSAGE_LEVEL      0x8000u

#define LAPIC_DIVIDE_LOW      0x3u
#define LAPIC_DIVIDE_HIGH     0x8u
#define LAPIC_DIVIDE_WRITABLE (LAPIC_DIVIDE_LOW | LAPIC_DIVIDE_HIGH)

#define LAPIC_DFR_FLAT      0xffffffffu
#define LAPIC_DFR_WRITABLE  0xf0000000u
#define LAPIC_LDR_WRITABLE  0xff000000u
#define LAPIC_VECTOR_LOWEST 16 /* lower ones are illegal */

enum lapic_delivery {
	LAPIC_FIXED = 0,
	LAPIC_LOWEST = 1,
	LAPIC_SMI = 2,
	LAPIC_NMI = 4,
	LAPIC_INIT = 5,
	LAPIC_STARTUP = 6,
	LAPIC_EXTINT = 7,
};

enum lapic_shorthand {
	LAPIC_TO_DESTINATION = 0,
	LAPIC_TO_SELF = 1,
	LAPIC_TO_ALL = 2,
	LAPIC_TO_OTHERS = 3,
};

#define LAPIC_BROADCAST     0xffffffffu
#define X2APIC_CLUSTER_SIZE 16u

/*
 * An interrupt message on its way, from an ICR, the I/O APIC or an MSI. The 8-bit destination of an
 * xAPIC, I/O APIC or MSI that means all is LAPIC_BROADCAST here.
 */
struct lapic_ipi {
	u32 destination;
	u8 vector;
	u8 delivery;  /* enum lapic_delivery */
	u8 shorthand; /* enum lapic_shorthand */
	bool logical;
	bool level;
	bool assert;
};

/* A page in the architectural layout: register `offset` is word[offset / 4]. */
struct lapic_page {
	u32 word[PAGE_SIZE / 4];
};
static_assert(sizeof(struct lapic_page) == PAGE_SIZE, "one page");

/* lapic.todo: what the caller does next, and then clears. */
#define LAPIC_TODO_DELIVER BIT(0) /* ISR or TPR changed: set GROUP_APIC dirty */
#define LAPIC_TODO_TIMER   BIT(1) /* ask lapic_timer_next and program the run page anew */
#define LAPIC_TODO_BASE    BIT(2) /* IA32_APIC_BASE changed: mode or address of the page */
#define LAPIC_TODO_EXTINT  BIT(3) /* lapic_extint may answer differently now */

struct lapic {
	struct device_header header;
	u64 base;         /* IA32_APIC_BASE */
	u64 base_limit;   /* first address that is too wide for the guest's processor */
	u64 timer_expiry; /* machine_now at which the count reaches 0 next; MACHINE_NEVER: stopped
			   */
	u64 tsc_deadline; /* guest TSC; 0: not armed */
	u32 id;
	u32 esr_pending; /* errors since the last write to ESR */
	u32 lint_level;  /* bits 0 and 1: level of the pins LINT0 and LINT1 */
	u32 todo;        /* LAPIC_TODO_* */
	u8 bsp;
	u8 has_x2apic; /* features that the guest's CPUID shows */
	u8 has_deadline;
	u8 timer_masked; /* as the last lapic_timer_next found the timer */
	u8 timer_given;  /* the run page's timer stands for what the guest programmed last */
	u8 reserved[3];
};
DEVICE_STATE(struct lapic);

/* What a call works on. The VMM builds it; it is no part of the state. */
struct lapic_view {
	struct lapic *state;
	struct lapic_page *page;     /* shared with the kernel */
	struct run_pending *pending; /* in the run page */
};

struct lapic_features {
	u8 address_bits; /* MAXPHYADDR, 32 to 52 */
	bool bsp;
	bool x2apic;
	bool tsc_deadline;
};

/* What the VMM programs into run_page.timer and timer_vector. */
enum lapic_timer_clock {
	LAPIC_TIMER_OFF,
	LAPIC_TIMER_NS,  /* time is on machine_now's scale */
	LAPIC_TIMER_TSC, /* time is a guest TSC value */
};

struct lapic_timer {
	enum lapic_timer_clock clock;
	u8 vector;
	bool periodic; /* come back when it fired (a deadline for vcpu_run): lapic_timer_fired */
	u64 time;      /* may have passed: then at once */
};

/* Sets up state and page after power-on. `id` is the initial APIC ID (below 255 without x2APIC). */
void lapic_init(struct lapic_view *v, u32 id, struct lapic_features features);

/* RESET: everything as after power-on, IA32_APIC_BASE too. The pending word is cleared. */
void lapic_reset(struct machine *m, struct lapic_view *v);

/* INIT: as reset, but IA32_APIC_BASE stays, and so does the x2APIC's ID (SDM vol. 3, 11.4.7.3). */
void lapic_init_signal(struct machine *m, struct lapic_view *v);

/*
 * An access to the page in xAPIC mode. offset: bytes from IA32_APIC_BASE, any value below 4096.
 * Only aligned accesses of four bytes have an effect (SDM vol. 3, 11.4.1); reads of other sizes
 * within one register give its bytes. In other modes the page is not there: the caller asks
 * lapic_in_page_mode first.
 */
u32 lapic_read(struct machine *m, struct lapic_view *v, u32 offset, unsigned size);
void lapic_write(struct machine *m, struct lapic_view *v, u32 offset, unsigned size, u32 value);
bool lapic_in_page_mode(const struct lapic_view *v);
bool lapic_in_x2apic_mode(const struct lapic_view *v);

/*
 * RDMSR and WRMSR of IA32_APIC_BASE, IA32_TSC_DEADLINE and LAPIC_MSR_BASE to LAPIC_MSR_END - 1.
 * guest_tsc: the guest's TSC now. Return false where the guest gets #GP(0); nothing has changed
 * then (SDM vol. 3, 11.12.1.2 and 11.12.5). *value is 0 after a read that returned false.
 */
bool lapic_rdmsr(struct machine *m, struct lapic_view *v, u32 msr, u64 guest_tsc, u64 *value);
bool lapic_wrmsr(struct machine *m, struct lapic_view *v, u32 msr, u64 guest_tsc, u64 value);

/* End of interrupt, for the exits that come without an access: EXIT_EOI gives its own vector. */
void lapic_eoi(struct machine *m, struct lapic_view *v);
void lapic_eoi_vector(struct machine *m, struct lapic_view *v, u8 vector);

/*
 * Can the next interrupt be ended later than it ends for the guest? No vector is in service, and at
 * most one is requested, which is edge-triggered.
 */
bool lapic_may_skip_eoi(const struct lapic_view *v);

/*
 * Requests `vector`: notes its trigger mode in TMR, then sets its bit and the notification bit of
 * the pending word, atomically. A vector below 16 and a disabled APIC request nothing. Returns true
 * if the notification bit was not set before: the caller signals the vcpu, if it may be running.
 */
bool lapic_accept(struct lapic_view *v, u8 vector, bool level);

/* Tells whether a message to `destination` concerns this APIC (SDM vol. 3, 11.6.2). */
bool lapic_matches(const struct lapic_view *v, u32 destination, bool logical);

/* Splits an interrupt message into its parts (SDM vol. 3, 11.11). False if `address` is none. */
bool lapic_parse_message(u64 address, u32 data, struct lapic_ipi *ipi);

/*
 * Hands a message to those of `count` APICs that it concerns, by lapic_accept and the callbacks
 * below. source: index of the sender for shorthands, or any value that is no index for a device.
 * Lowest priority goes to the matching enabled APIC with the lowest TPR, and so is fair only
 * between equals by index. SMI and ExtINT messages have no receiver here.
 */
void lapic_route(struct machine *m, struct lapic_view *views, u32 count, u32 source,
	const struct lapic_ipi *ipi);

/* Sets the level of pin LINT0 (the PIC's INTR) or LINT1 (NMI). */
void lapic_lint(struct machine *m, struct lapic_view *v, unsigned pin, bool level);

/*
 * Tells whether the PIC's INTR reaches the processor as an external interrupt: LINT0 is unmasked in
 * ExtINT mode, or the APIC is globally disabled (SDM vol. 3, 11.4.3 and 11.5.1).
 */
bool lapic_extint(const struct lapic_view *v);

/*
 * Returns the timer that the run page is to hold now, and clears LAPIC_TODO_TIMER. What expired
 * while the timer was masked is gone. guest_tsc: the guest's TSC now.
 */
struct lapic_timer lapic_timer_next(struct machine *m, struct lapic_view *v, u64 guest_tsc);

/*
 * The run page's timer fired (it is 0 and was not): a one-shot timer or deadline is over, a
 * periodic one gets its next time after now. Periods that were missed meanwhile coalesce into one,
 * and so do those shorter than LAPIC_PERIOD_MIN_NS. Sets LAPIC_TODO_TIMER: call it before
 * lapic_timer_next. What the guest programmed after the last lapic_timer_next, perhaps by the very
 * access that ended vcpu_run, is another timer, and stays.
 */
void lapic_timer_fired(struct machine *m, struct lapic_view *v);
#define LAPIC_PERIOD_MIN_NS 50000ull

/*
 * For direct boot: what firmware does, software-enabled with LINT0 as ExtINT (on the bootstrap
 * processor) and LINT1 as NMI.
 */
void lapic_virtual_wire(struct lapic_view *v);

/* The VMM provides these. */

/* A level-triggered vector was ended at `source`, and the I/O APICs are to hear of it. */
void lapic_eoi_broadcast(struct machine *m, struct lapic *source, u8 vector);

/* An IPI other than to itself: the VMM calls lapic_route, on the threads concerned. */
void lapic_send(struct machine *m, struct lapic *source, const struct lapic_ipi *ipi);

/* `target` gets an NMI, INIT, a start-up IPI (first page of code), or must look at its pending
 * word. */
void lapic_got_nmi(struct machine *m, struct lapic *target);
void lapic_got_init(struct machine *m, struct lapic *target);
void lapic_got_startup(struct machine *m, struct lapic *target, u8 page);
void lapic_got_vector(struct machine *m, struct lapic *target);
