/*
 * What the system description asks for, in structures that hold no pointers into policy code: one
 * entry for each node in /domains, and the links (sessions) between them. Pure: no system call is
 * made here.
 */
#pragma once

#include "drivers/lib/start.h"
#include "drivers/root/tree.h"
#include "kernel/abi/boot.h"

#define NODES_MAX    48
#define NODE_CPUS    64
#define NODE_DEVICES 4
#define NODE_RAMS    8
#define NODE_FILES                                                                                 \
	16 /* kernel, initrd and BOOT_MODULES_MAX of the VMM, or a server's, and some more */
#define LINKS_MAX         64
#define INTERRUPT_ENTRIES 128
#define NODE_NONE         0xffffffffu
#define NODE_ROOT         0xfffffffeu /* root itself, as a client */
#define PRIORITY_MAX      55u         /* priorities above it are root's */

enum node_class {
	NODE_DOMAIN = 0,
	NODE_PARTITION = 1,
};

enum device_kind {
	DEVICE_PORTS = 0,       /* on the ISA bus: ports, and a line */
	DEVICE_PCI_HOST = 1,    /* the host bridge: configuration space, for the bus domain */
	DEVICE_FUNCTION = 2,    /* a PCI function */
	DEVICE_FRAMEBUFFER = 3, /* the one that the firmware left */
};

struct device_node {
	enum device_kind kind;
	u32 phandle;
	u32 function;     /* of a PCI function, segment 0: bus << 8 | device << 3 | function */
	bool unprotected; /* it may do DMA though no IOMMU holds it back */
	const char *compatible; /* of a PCI function: the identity that it must have */
	u16 port;
	u16 ports;
	u16 more_port; /* a second range; more_ports 0: none */
	u16 more_ports;
	bool has_irq;
	u8 isa_irq; /* 0-15 */
};

struct ram_node {
	gpa_t gpa;
	u64 size;
};

struct domain_node {
	int offset; /* of the node in the tree */
	enum node_class class;
	bool bad; /* must not be started; a complaint says why */
	char name[START_NAME_SIZE];
	u32 program; /* index of boot_info.file[] */
	u32 cpus;
	u16 cpu[NODE_CPUS]; /* indices of boot_info.cpu[] */
	u32 priority;
	u32 budget_us; /* 0: unlimited */
	u32 period_us;
	u32 pool_kib; /* 0: root's default */
	u32 dma_kib;  /* memory for its PCI functions to read and write */
	u32 restart_times;
	u32 restart_seconds;
	u32 restart_delay_ms; /* before the second restart in that time; then it doubles */
	u32 heartbeat_ms;     /* 0: it is not asked */
	bool heartbeat_set;   /* the node says so: asked from the start on */
	bool autostart;
	bool on_exit_restart;
	bool fpu;
	bool test_authority;
	bool dma_faults_allowed; /* what an IOMMU refuses its functions does not end it */
	u32 devices;
	struct device_node device[NODE_DEVICES];
	u32 rams;
	struct ram_node ram[NODE_RAMS];
	u32 files;
	u32 file[NODE_FILES];         /* indices of boot_info.file[]: what `boot` or volumes name */
	u32 file_phandle[NODE_FILES]; /* of the volume; 0: of `boot` */
	u64 state; /* bytes of START_STATE that its volumes or its screen need; 0: none */
};

/* A session to make. */
struct link {
	u32 client; /* index of a domain_node, or NODE_ROOT */
	u32 server; /* index of a domain_node */
	u32 phandle;
	bool zero_copy; /* the server's device may reach the RAM of the client's guest */
	char name[START_NAME_SIZE];
	const char *protocol;
};

/* Where an interrupt pin leads. */
struct interrupt {
	u32 gsi;
	u32 flags; /* BOOT_IRQ_* */
};

/* The pin `pin` (1 to 4: INTA to INTD) of the functions whose address, masked, is that of the
 * entry: bus << 16 | device << 11 | function << 8. */
struct interrupt_entry {
	u32 address;
	u32 pin;
	struct interrupt to;
};

struct interrupt_map {
	u32 address_mask;
	u32 entries;
	struct interrupt_entry entry[INTERRUPT_ENTRIES];
};

struct description {
	struct tree tree;
	u32 nodes;
	struct domain_node node[NODES_MAX];
	u32 links;
	struct link link[LINKS_MAX];
	u32 console; /* the console server, or NODE_NONE */
	u32 serial;  /* the driver of the port that /chosen names, or NODE_NONE */
	u32 display; /* the driver of the framebuffer, or NODE_NONE */
	u32 bus;     /* the bus domain, or NODE_NONE */
	bool fault_injection;
	struct interrupt_map map; /* of the PCI bus; without entries: none */
};

/*
 * Reads the description in `fdt`, `size` bytes, against what the machine has. Complains of all that
 * is wrong. Returns false if nothing of it can be used; else nodes that cannot be started are
 * marked `bad`.
 */
bool description_read(struct description *d, const void *fdt, size_t size,
	const struct boot_info *boot, void (*complain)(const char *line));

/* Index of the node with that name, or NODE_NONE. */
u32 description_find(const struct description *d, const char *name);

/* Finds the sessions that the nodes ask for; part of description_read (links.c). */
void description_link(struct description *d);

/*
 * The boot file that property `name` of `node` asks for; NODE_NONE, with a complaint and `n` marked
 * `bad`, if there is none.
 */
u32 description_file(struct description *d, struct domain_node *n, int node, const char *name,
	const struct boot_info *boot);

/* Reads the volumes that a domain keeps itself; part of description_read (volumes.c). */
void description_volumes(
	struct description *d, struct domain_node *n, const struct boot_info *boot);

/* Reads `interrupt-map` of the PCI bus; part of description_read (interrupts.c). Entries that are
 * wrong are complained of and left out. */
void description_interrupts(struct description *d, const struct boot_info *boot);

/* True if the node's program is a console server. */
bool description_is_console(const struct description *d, const struct domain_node *n);

/* The driver that has `access` to the device with that phandle: index, or NODE_NONE. */
u32 description_driver(const struct description *d, u32 phandle);
