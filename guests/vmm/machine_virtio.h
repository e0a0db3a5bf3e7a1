/*
 * virtio devices in the machine: which there are, where their BARs decode, their doorbells, and the
 * events of their backends.
 */
#pragma once

#include "guests/vmm/virtio/backend_block.h"
#include "guests/vmm/virtio/backend_console.h"
#include "guests/vmm/virtio/backend_net.h"
#include "guests/vmm/virtio/rng.h"

#define MACHINE_DISKS  4u
#define MACHINE_CARDS  4u
#define MACHINE_VIRTIO (MACHINE_DISKS + MACHINE_CARDS + 2) /* a console, an entropy source */

/* In the machine's state. A device whose virtio.queues is 0 is not there. */
struct machine_virtio {
	struct virtio_blk disk[MACHINE_DISKS];
	struct virtio_net card[MACHINE_CARDS];
	struct virtio_console console;
	struct virtio_rng entropy;
};
static_assert(sizeof(struct machine_virtio) % 8 == 0, "part of the machine's state");

/* What this process knows of them besides; by device: disks, cards, console, entropy. */
struct virtio_host {
	u32 bells;                              /* doorbell event bits given out, ever */
	u16 ports[MACHINE_VIRTIO];              /* where the notify ports are bound; 0: nowhere */
	u8 bell[MACHINE_VIRTIO][VIRTIO_QUEUES]; /* event bit of each queue; 0: none yet */
	struct block_memory ram; /* the parts of the guest's; only for disks with `zero-copy` */
	struct backend_block block[MACHINE_DISKS];
	struct backend_net net[MACHINE_CARDS];
	struct backend_console console[VIRTIO_CONSOLE_PORTS];
};

/*
 * Gives each queue of a device that has just been made an event bit of the first vCPU's thread, for
 * its doorbell; queues share bits when there are more of them. Before any vCPU runs: a thread looks
 * at wake_mask only when it enters its guest.
 */
void machine_virtio_bells(struct machine *m, const struct virtio *d);

/* A BAR of a function changed: pci_bar_changed of pci.h. */
void machine_virtio_bar(struct machine *m, u8 devfn, unsigned number);

/* Configuration space of a function was written, or is about to be read. */
void machine_virtio_written(struct machine *m, u8 devfn, u32 offset, unsigned size);
void machine_virtio_reading(struct machine *m, u8 devfn, u32 offset, unsigned size);

/* Accesses to memory BARs, of 1, 2 or 4 bytes; false: no BAR is there. */
bool machine_virtio_read(struct machine *m, gpa_t gpa, unsigned size, u32 *value);
bool machine_virtio_write(struct machine *m, gpa_t gpa, unsigned size, u32 value);
bool machine_virtio_backed(struct machine *m, gpa_t gpa);

/* Event bits of the first vCPU's thread: doorbells, and backends. */
void machine_virtio_event(struct machine *m, u64 bits);

/* MACHINE_TIMER_VIRTIO is due. */
void machine_virtio_timer(struct machine *m);

/*
 * Waits, at most 2 s for all devices together, until a disk's or card's server has answered; it may
 * as well come later.
 */
void machine_virtio_await(struct machine *m, const bool *connected, u64 bit);

/* A fresh process has opened the backends of a machine whose state is from before: goes on. */
void machine_virtio_resume(struct machine *m);

/* The guest has ended: waits, but not for ever, until consoles' servers took what it wrote. */
void machine_virtio_drain(struct machine *m);
