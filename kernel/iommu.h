/*
 * IOMMUs: what DMA of a function reaches, and which interrupts it may send. The kernel talks to
 * iommu.c; that calls one of the two drivers, vmx/vtd.c or svm/amdvi.c, which the firmware's table
 * chooses and not the CPU. From iommu_init on, every function is blocked that is not attached.
 */
#pragma once

#include "kernel/abi/boot.h"
#include "mm/ptable.h"

#define IOMMU_SIZE    0x4000ull /* bytes of registers of a unit; kept from ring 3 */
#define IOMMU_ENTRIES 256       /* of a queue or log of one frame */
#define IOMMU_DOMAINS 256       /* tags of translations, from 1, are below that */
#define IOMMU_NO_WAY  (~0u)
#define MSI_ADDRESS   0xfee00000u

/* A remapping unit. */
struct iommu {
	const struct boot_iommu *boot;
	volatile u8 *registers;
	struct spinlock lock; /* queue, tables */
	u64 (*queue)[2];
	u64 *done; /* the unit writes the number of the batch that it has finished */
	u32 tail;
	u32 batch;
	u8 levels;         /* of page tables */
	bool flush_map;    /* it may keep what was not present */
	u32 domains;       /* tags of translations that it has, from 1 */
	u64 *table;        /* VT-d: root table; AMD-Vi: device table */
	u32 functions;     /* AMD-Vi: entries of the device table */
	u64 (*records)[2]; /* VT-d: interrupt entries by vector; AMD-Vi: log of events */
};

/* What sends requests and interrupts: a dev, or an I/O APIC. */
struct iommu_source {
	struct iommu *unit; /* NULL: none is in its way */
	u32 requester;      /* segment << 16 | the ID that its requests carry */
	u32 domain;         /* tag of its translations */
	u32 *irtes;         /* AMD-Vi: a frame, its interrupts */
	struct ptable *ptable;
};

/*
 * A driver of units. All but `start` are called with the unit's lock held, and have finished, with
 * everything invalidated that the unit keeps, when they return.
 */
struct iommu_ops {
	const char *name;
	enum ptable_format format;
	u32 tail_register; /* of the queue */

	/* Writes the command that stores `value` at the word `pa`, after all commands before. */
	void (*wait)(u64 entry[2], paddr_t pa, u32 value);

	/* Lowers ptable_features and *intremap to what the unit has. Returns NULL, or why the unit
	 * can't be used. */
	const char *(*probe)(struct iommu *u, bool *intremap);

	/* Takes the unit into use with everything blocked. Returns NULL, or what went wrong. */
	const char *(*start)(struct iommu *u, bool intremap);

	/* Makes what attach and route need of `pool`. NO_MEMORY; NOT_SUPPORTED: the unit does not
	 * know this requester. */
	status_t (*open)(struct iommu_source *s, struct pool *pool);

	/* Blocks its DMA and takes its interrupts away; also after an open that failed. */
	void (*close)(struct iommu_source *s);

	/* Has its requests translated by `t`; NULL: refused. */
	void (*attach)(struct iommu_source *s, const struct ptable *t);

	/* Forgets translations. */
	void (*flush)(struct iommu_source *s);

	/*
	 * Lets it send, or not, `vector` to the CPU `apic_id`. Returns what it has to put into bits
	 * 19:4 of a message's address, or 63:48 of an I/O APIC's entry; the data, or the lower half
	 * of the entry, hold the vector. IOMMU_NO_WAY: no such CPU can be named.
	 */
	u32 (*route)(struct iommu_source *s, u32 vector, u32 apic_id, bool level, bool on);

	/* Takes the next fault out of the unit; false: there is none. */
	bool (*fault)(struct iommu *u, struct msg_dma_fault *f);
};
extern const struct iommu_ops vtd_ops;
extern const struct iommu_ops amdvi_ops;

/* Takes the units into use; before there is a dev or ring 3. Interrupt lines are masked. `apic_id`
 * is the CPU that is told of faults, with VECTOR_IOMMU. */
void iommu_init(u32 apic_id);
extern u32 iommu_apic_id;

/* FENCE_* of a function whose requests carry the ID `requester`. */
u32 iommu_fence(u32 requester);

/*
 * Prepares the source that s->requester names, s->domain being a tag of its own; tables come from
 * `pool`. Without a unit for it nothing is done. `t` becomes its page table, with
 * the regions in it that the firmware has reserved for it. DENIED: such a region lies in memory
 * that is not the firmware's; NO_MEMORY; NOT_SUPPORTED.
 */
status_t iommu_open(struct iommu_source *s, struct ptable *t, struct pool *pool);

/* Ends what iommu_open made, which may be a part; the memory that it had of `pool` is
 * given back by iommu_free, when no CPU is in the middle of using it. */
void iommu_close(struct iommu_source *s);
void iommu_free(struct iommu_source *s, struct pool *pool);

/* Lets DMA through its page table, or blocks it. */
void iommu_attach(struct iommu_source *s, bool on);

/* After changes of its page table: no access uses what was there any more. Only with a unit. */
void iommu_mapped(struct iommu_source *s);
void iommu_unmapped(struct iommu_source *s);

extern struct iommu_source iommu_ioapics[]; /* of the lines of I/O APICs */

/* The same as ops->route; without interrupt remapping the message or entry names the CPU itself. */
u32 iommu_route(struct iommu_source *s, u32 vector, u32 apic_id, bool level, bool on);

/* The next fault of any unit; false: there is none. */
bool iommu_fault(struct msg_dma_fault *f);

/* --- for drivers --- */

static inline volatile u64 *iommu_reg64(const struct iommu *u, u32 reg)
{
	return (volatile u64 *)(u->registers + reg);
}

static inline volatile u32 *iommu_reg32(const struct iommu *u, u32 reg)
{
	return (volatile u32 *)(u->registers + reg);
}

/* Waits for at most a second until *word, masked, is `value`. */
bool iommu_wait(const volatile u32 *word, u32 mask, u32 value);

/* Has the unit carry out `count` commands, fewer than IOMMU_ENTRIES. */
void iommu_submit(struct iommu *u, const u64 command[][2], u32 count);
