/*
 * virtio console device: virtio 1.2, 5.3.
 *
 * With one port without a name it is a plain console; with more ports, or a name, it offers
 * VIRTIO_CONSOLE_F_MULTIPORT, and each port that the driver makes ready is opened by the device.
 * Queues: receive and transmit of port 0, the two control queues, then those of ports 1 and on.
 *
 * Bytes that the backend has no room for wait in their buffer; how much of it is done is part of
 * the state. Bytes for a port that the driver has not opened, or has no buffers for, stay with the
 * backend.
 */
#pragma once

#include "guests/vmm/virtio/virtio.h"

#define VIRTIO_CONSOLE_MAGIC DEVICE_MAGIC('V', 'C', 'O', 'N')
#define VIRTIO_CONSOLE_SIZE  64u /* entries of each queue */
#define VIRTIO_CONSOLE_PORTS 4u
#define VIRTIO_CONSOLE_NAME  32u /* bytes, with a NUL */

#define VIRTIO_CONSOLE_F_SIZE        BIT(0)
#define VIRTIO_CONSOLE_F_MULTIPORT   BIT(1)
#define VIRTIO_CONSOLE_F_EMERG_WRITE BIT(2)

struct virtio_console_config { /* 5.3.4 */
	u16 cols;
	u16 rows;
	u32 max_nr_ports;
	u32 emerg_wr;
};
static_assert(sizeof(struct virtio_console_config) == 12, "5.3.4");

struct virtio_console_control { /* 5.3.6.2 */
	u32 id;
	u16 event;
	u16 value;
};
static_assert(sizeof(struct virtio_console_control) == 8, "5.3.6.2");

struct virtio_console_resize { /* follows a RESIZE message */
	u16 cols;
	u16 rows;
};
static_assert(sizeof(struct virtio_console_resize) == 4, "5.3.6.2");

enum virtio_console_event {
	VIRTIO_CONSOLE_DEVICE_READY = 0,
	VIRTIO_CONSOLE_DEVICE_ADD = 1,
	VIRTIO_CONSOLE_DEVICE_REMOVE = 2,
	VIRTIO_CONSOLE_PORT_READY = 3,
	VIRTIO_CONSOLE_CONSOLE_PORT = 4,
	VIRTIO_CONSOLE_RESIZE = 5,
	VIRTIO_CONSOLE_PORT_OPEN = 6,
	VIRTIO_CONSOLE_PORT_NAME = 7,
	VIRTIO_CONSOLE_EVENTS = 8,
};

struct virtio_console_port {
	u32 sent;   /* bytes of the next transmit chain that the backend has taken */
	u8 tell;    /* bit n: event n is to be sent to the driver */
	u8 added;   /* the driver knows of it */
	u8 open;    /* the driver's side is open */
	u8 console; /* it is a console for the driver's system */
	char name[VIRTIO_CONSOLE_NAME]; /* "" : none */
};
static_assert(sizeof(struct virtio_console_port) == 40, "part of the state");

struct virtio_console {
	union {
		struct virtio virtio;
		struct device_header header;
	};
	u16 cols; /* 0: not known */
	u16 rows;
	u8 ports;
	u8 reserved[3];
	struct virtio_console_port port[VIRTIO_CONSOLE_PORTS];
};
DEVICE_STATE(struct virtio_console);

/*
 * Makes a console at a place of the bus with 1 to VIRTIO_CONSOLE_PORTS ports; names: of each port,
 * "" for one without, which is then a console. False: the place is taken.
 */
bool virtio_console_init(struct machine *m, struct virtio_console *s, u8 devfn, u8 ports,
	const char names[][VIRTIO_CONSOLE_NAME]);

/* Whether the driver has the port open. */
bool virtio_console_open(const struct virtio_console *s, u32 port);

/* Bytes for a port; returns how many were taken. The bytes are the caller's own. */
u32 virtio_console_receive(
	struct machine *m, struct virtio_console *s, u32 port, const u8 *bytes, u32 count);

/* The backend of a port has room again. */
void virtio_console_ready(struct machine *m, struct virtio_console *s, u32 port);

/* Whether bytes of a port wait for the backend. */
bool virtio_console_waiting(struct machine *m, struct virtio_console *s, u32 port);

/* The console is of this size now; 0 by 0: not known. */
void virtio_console_resize(struct machine *m, struct virtio_console *s, u16 cols, u16 rows);

extern const struct virtio_model virtio_console_model;

/* --- the VMM provides these, and a fake does in unit tests --- */

/* Takes bytes of a port; returns how many. After fewer than `count`, virtio_console_ready follows.
 */
u32 virtio_console_backend_put(struct machine *m, u32 port, const u8 *bytes, u32 count);

/* The driver may take bytes of a port again: virtio_console_receive is called for what waits. */
void virtio_console_backend_pull(struct machine *m, u32 port);
