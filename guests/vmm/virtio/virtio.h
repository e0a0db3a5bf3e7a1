/*
 * virtio devices on PCI, the part that all have in common: configuration structures, features,
 * status, virtqueues, interrupts.
 *
 * virtio 1.2: 2 (facilities), 3.1 (initialization), 4.1 (PCI). Modern interface only: revision 1,
 * VIRTIO_F_VERSION_1 is compulsory. PCI Local Bus Specification 3.0, 6.8.2 (MSI-X).
 *
 * BAR 0, memory: the structures of VIRTIO_OFFSET_*, and MSI-X table and pending bits on a page of
 * their own. BAR 1, I/O: the notify structure, a 16-bit port for each queue, so that the kernel can
 * turn each into a doorbell. Both stand behind the PCI-access capability as well.
 *
 * While the function's bus-master bit is clear the device touches no guest memory and sends no
 * message: what there is to do waits. What a driver does to a queue that the rules forbid makes the
 * device ask for a reset (DEVICE_NEEDS_RESET) and stop, and nothing else.
 *
 * A device model is a struct whose first field is struct virtio, and a struct virtio_model.
 */
#pragma once

#include "guests/vmm/dev/msix.h"
#include "guests/vmm/virtio/virtqueue.h"

#define VIRTIO_QUEUES    16u
#define VIRTIO_VECTORS   (VIRTIO_QUEUES + 1)
#define VIRTIO_NO_VECTOR 0xffffu
#define VIRTIO_CONFIG    64u /* bytes that a model's configuration has at most */
#define VIRTIO_VERSION   1

#define VIRTIO_PCI_VENDOR   0x1af4u
#define VIRTIO_PCI_DEVICE   0x1040u /* + the device's type */
#define VIRTIO_PCI_REVISION 1u
#define VIRTIO_BAR_MEMORY   0u
#define VIRTIO_BAR_IO       1u
#define VIRTIO_MEMORY_SIZE  0x2000u
#define VIRTIO_IO_SIZE      (VIRTIO_QUEUES * VIRTIO_NOTIFY_STEP)
#define VIRTIO_NOTIFY_STEP  2u /* notify_off_multiplier */

enum virtio_type { /* 5 */
	VIRTIO_TYPE_NET = 1,
	VIRTIO_TYPE_BLOCK = 2,
	VIRTIO_TYPE_CONSOLE = 3,
	VIRTIO_TYPE_ENTROPY = 4,
};

/* Offsets in the memory BAR. */
enum virtio_offset {
	VIRTIO_OFFSET_COMMON = 0x000,
	VIRTIO_OFFSET_ISR = 0x080,
	VIRTIO_OFFSET_DEVICE = 0x100,
	VIRTIO_OFFSET_MSIX_TABLE = 0x1000,
	VIRTIO_OFFSET_MSIX_PENDING = 0x1800,
};
#define VIRTIO_COMMON_SIZE 0x40u
#define VIRTIO_ISR_SIZE    1u

/* 4.1.4.3: the common configuration structure. */
enum virtio_common {
	VIRTIO_DEVICE_FEATURE_SELECT = 0x00, /* 32 bits */
	VIRTIO_DEVICE_FEATURE = 0x04,
	VIRTIO_DRIVER_FEATURE_SELECT = 0x08,
	VIRTIO_DRIVER_FEATURE = 0x0c,
	VIRTIO_CONFIG_VECTOR = 0x10, /* 16 bits */
	VIRTIO_NUM_QUEUES = 0x12,
	VIRTIO_STATUS = 0x14, /* 8 bits */
	VIRTIO_GENERATION = 0x15,
	VIRTIO_QUEUE_SELECT = 0x16, /* 16 bits */
	VIRTIO_QUEUE_SIZE = 0x18,
	VIRTIO_QUEUE_VECTOR = 0x1a,
	VIRTIO_QUEUE_ENABLE = 0x1c,
	VIRTIO_QUEUE_NOTIFY_OFF = 0x1e,
	VIRTIO_QUEUE_DESC = 0x20, /* 64 bits, by halves */
	VIRTIO_QUEUE_DRIVER = 0x28,
	VIRTIO_QUEUE_DEVICE = 0x30,
	VIRTIO_QUEUE_NOTIFY_DATA = 0x38, /* 16 bits; not offered: reads 0 */
	VIRTIO_QUEUE_RESET = 0x3a,
};

#define VIRTIO_STATUS_ACKNOWLEDGE 0x01u /* 2.1 */
#define VIRTIO_STATUS_DRIVER      0x02u
#define VIRTIO_STATUS_DRIVER_OK   0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u
#define VIRTIO_STATUS_FAILED      0x80u

#define VIRTIO_ISR_QUEUE  0x1u
#define VIRTIO_ISR_CONFIG 0x2u

#define VIRTIO_F_INDIRECT_DESC BIT(28) /* 6 */
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)
#define VIRTIO_F_RING_RESET    BIT(40)
#define VIRTIO_F_ALL                                                                               \
	(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET)

struct virtio {
	struct device_header header;
	u64 offered;  /* feature bits */
	u64 accepted; /* by the driver */
	u32 offered_select;
	u32 accepted_select;
	u64 pending; /* MSI-X pending bits */
	u32 again;   /* queues to go on with at the next virtio_timer */
	u16 config_vector;
	u16 queue_select;
	u8 status;
	u8 generation;
	u8 changed; /* configuration has changed since the driver last read any of it */
	u8 isr;
	u8 type; /* enum virtio_type */
	u8 devfn;
	u8 queues;
	u8 msix;   /* where the capability is in configuration space */
	u8 access; /* and the PCI-access capability */
	u8 reserved[7];
	struct msix_vector vector[VIRTIO_VECTORS];
	struct virtqueue queue[VIRTIO_QUEUES];
};
static_assert(sizeof(struct virtio) % 8 == 0 && VIRTIO_VECTORS <= 64, "part of device states");

/* A feature that a driver may accept only together with one of others. */
struct virtio_need {
	u64 feature;
	u64 needs; /* any of these bits */
};

/* What a type of device does. Functions may be NULL where nothing is to be done. */
struct virtio_model {
	u32 class_code;   /* of the PCI function */
	u32 config_bytes; /* of the device configuration, at most VIRTIO_CONFIG; 0: none */
	const struct virtio_need *needs; /* ends with feature 0 */

	/* Fills the configuration, config_bytes long. */
	void (*config)(struct machine *m, const struct virtio *d, u8 *bytes);

	/* The driver writes 1, 2 or 4 bytes of the configuration. */
	void (*config_write)(
		struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value);

	/* FEATURES_OK was set: `accepted` is final. */
	void (*negotiated)(struct machine *m, struct virtio *d);

	/* DRIVER_OK was set; every queue is processed afterwards. */
	void (*start)(struct machine *m, struct virtio *d);

	/* Deals with the chains of a queue. Spurious calls are right at any time while it is live.
	 */
	void (*process)(struct machine *m, struct virtio *d, u32 queue);

	/* A queue is no more: what is under way for it must not touch guest memory any more. */
	void (*queue_reset)(struct machine *m, struct virtio *d, u32 queue);

	/* The device is reset, its queues as well (queue_reset is not called). */
	void (*reset)(struct machine *m, struct virtio *d);

	/* True while a reset of the device or of a queue is not over: something may still use the
	 * guest's memory. NULL: it is over at once. */
	bool (*resetting)(struct machine *m, const struct virtio *d);
};

/* --- for whoever sets up and drives devices --- */

/*
 * Makes a device and its PCI function; d lies in a model's state, whose `bytes` and magic number
 * are the header's. queues: 1 to VIRTIO_QUEUES, of `size` entries each (a power of two, at most
 * VIRTQUEUE_SIZE_MAX). offered: the model's feature bits; those of VIRTIO_F_ALL are added.
 * False: the place on the bus is taken.
 */
struct virtio_setup {
	u32 magic;
	u32 bytes;
	enum virtio_type type;
	u8 devfn;
	u8 queues;
	u16 size;
	u64 offered;
};
bool virtio_init(struct machine *m, struct virtio *d, const struct virtio_setup *setup);

/* The machine's reset line; the PCI function's configuration space is reset by pci_reset. */
void virtio_reset(struct machine *m, struct virtio *d);

/* An access of 1, 2 or 4 bytes at `offset` of the memory BAR, any offset. */
u32 virtio_memory_read(struct machine *m, struct virtio *d, u64 offset, unsigned size);
void virtio_memory_write(struct machine *m, struct virtio *d, u64 offset, unsigned size, u32 value);

/* A write to the I/O BAR: the port tells the queue, the value does not matter. */
void virtio_notify(struct machine *m, struct virtio *d, u32 queue);

/* Bytes of the function's configuration space were written; are about to be read. */
void virtio_pci_written(struct machine *m, struct virtio *d, u32 offset, unsigned size);
void virtio_pci_reading(struct machine *m, struct virtio *d, u32 offset, unsigned size);

/* MACHINE_TIMER_VIRTIO is due: goes on with what virtio_again put off. */
void virtio_timer(struct machine *m, struct virtio *d);

/*
 * A fresh process takes over: publishes the used indices again and processes every queue. The
 * model's own resume function, if it has one, comes first.
 */
void virtio_resume(struct machine *m, struct virtio *d);

/* --- for models --- */

/*
 * Whether the device may look at a queue: the driver is ready, no reset is asked for, the queue is
 * enabled and the function is bus master.
 */
bool virtio_live(struct machine *m, const struct virtio *d, u32 queue);

static inline bool virtio_has(const struct virtio *d, u64 feature)
{
	return d->accepted & feature;
}

/*
 * The next chain of a queue, `ahead` of those not taken; false: there is none now, and the driver
 * will notify; or the queue is not live, or has just been found broken.
 */
bool virtio_look(
	struct machine *m, struct virtio *d, u32 queue, u32 ahead, struct virtqueue_chain *c);

/* Looks at a chain again that was taken before; false: it is broken now. */
bool virtio_chain(
	struct machine *m, struct virtio *d, u32 queue, u16 head, struct virtqueue_chain *c);

/* Gives back the next chain, which virtio_look has shown, in one step. */
void virtio_finish(struct machine *m, struct virtio *d, u32 queue, u16 head, u32 written);

/* Gives back a chain that was taken before. */
void virtio_return(struct machine *m, struct virtio *d, u32 queue, u16 head, u32 written);

/* Interrupts the driver for a queue, if something was given back since and it wants to know. */
void virtio_interrupt(struct machine *m, struct virtio *d, u32 queue);

/* More is to be done for a queue than one event may take: process is called again soon. */
void virtio_again(struct machine *m, struct virtio *d, u32 queue);

/* The configuration changed: the driver is told if it is at work. */
void virtio_config_changed(struct machine *m, struct virtio *d);

/* The driver broke the rules. */
void virtio_broken(struct machine *m, struct virtio *d);

/* --- the VMM provides these, and a fake does in unit tests --- */

/* The model of a type; NULL: there is none. */
const struct virtio_model *virtio_model(u8 type);

struct gmem *machine_memory(struct machine *m);
struct pci *machine_pci(struct machine *m);
