/* virtio console device: see console.h. */
#include "guests/vmm/virtio/console.h"
#include "drivers/lib/lib.h"

#define CLASS_COMMUNICATION 0x078000
#define QUEUE_CONTROL_RX    2u
#define QUEUE_CONTROL_TX    3u
#define FIRST_MORE          4u /* queues of port 1 */
#define CHUNK               256u

#define TELL(event) ((u8)(1u << (event)))

static bool multiport(const struct virtio_console *s)
{
	return virtio_has(&s->virtio, VIRTIO_CONSOLE_F_MULTIPORT);
}

static u32 receive_queue(u32 port)
{
	return port ? FIRST_MORE + (port - 1) * 2 : 0;
}

static u32 transmit_queue(u32 port)
{
	return receive_queue(port) + 1;
}

/* The port of a queue that is not a control queue. */
static u32 port_of(u32 queue)
{
	return queue < FIRST_MORE ? 0 : (queue - FIRST_MORE) / 2 + 1;
}

static void config(struct machine *m, const struct virtio *d, u8 *bytes)
{
	const struct virtio_console *s = (const struct virtio_console *)d;
	const struct virtio_console_config c = {
		.cols = s->cols, .rows = s->rows, .max_nr_ports = s->ports};

	(void)m;
	memcpy(bytes, &c, sizeof(c));
}

/* 5.3.5.1: at any time, also before the driver has said anything; what has no room is lost. */
static void config_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value)
{
	u8 byte = (u8)value;

	(void)d;
	(void)size;
	if (offset == offsetof(struct virtio_console_config, emerg_wr))
		virtio_console_backend_put(m, 0, &byte, 1);
}

/* Message `event` of a port, with what follows it; returns its length. */
static u32 message(const struct virtio_console *s, u32 port, u32 event,
	u8 bytes[sizeof(struct virtio_console_control) + VIRTIO_CONSOLE_NAME])
{
	const struct virtio_console_control c = {
		.id = port,
		.event = (u16)event,
		.value = event == VIRTIO_CONSOLE_PORT_OPEN || event == VIRTIO_CONSOLE_CONSOLE_PORT,
	};
	const struct virtio_console_resize size = {s->cols, s->rows};
	u32 length;

	memcpy(bytes, &c, sizeof(c));
	bytes += sizeof(c);
	switch (event) {
	case VIRTIO_CONSOLE_RESIZE:
		memcpy(bytes, &size, sizeof(size));
		return sizeof(c) + sizeof(size);
	case VIRTIO_CONSOLE_PORT_NAME:
		length = (u32)strnlen(s->port[port].name, VIRTIO_CONSOLE_NAME);
		memcpy(bytes, s->port[port].name, length);
		return (u32)sizeof(c) + length;
	default:
		return sizeof(c);
	}
}

/* Sends one message; false: no buffer for it now. */
static bool tell(struct machine *m, struct virtio_console *s, u32 port, u32 event)
{
	u8 bytes[sizeof(struct virtio_console_control) + VIRTIO_CONSOLE_NAME];
	u32 length = message(s, port, event, bytes);
	struct virtqueue_chain c;

	if (!virtio_look(m, &s->virtio, QUEUE_CONTROL_RX, 0, &c))
		return false;
	if (c.read_bytes || !virtqueue_write(&c, 0, bytes, length)) {
		virtio_broken(m, &s->virtio); /* no driver offers less than a message needs */
		return false;
	}
	s->port[port].tell &= (u8)~TELL(event);
	virtio_finish(m, &s->virtio, QUEUE_CONTROL_RX, c.head, length);
	return true;
}

/* Sends what the driver is to be told, as far as there are buffers. */
static void tell_all(struct machine *m, struct virtio_console *s)
{
	for (u32 port = 0; port < s->ports; port++) {
		for (u32 event = 0; event < VIRTIO_CONSOLE_EVENTS; event++) {
			if (s->port[port].tell & TELL(event) && !tell(m, s, port, event))
				goto out;
		}
	}
out:
	virtio_interrupt(m, &s->virtio, QUEUE_CONTROL_RX);
}

static void port_ready(struct virtio_console *s, struct virtio_console_port *p)
{
	if (p->console)
		p->tell |= TELL(VIRTIO_CONSOLE_CONSOLE_PORT);
	if (p->console && s->cols)
		p->tell |= TELL(VIRTIO_CONSOLE_RESIZE);
	if (p->name[0])
		p->tell |= TELL(VIRTIO_CONSOLE_PORT_NAME);
	p->tell |= TELL(VIRTIO_CONSOLE_PORT_OPEN);
}

/* What the driver says; messages that mean nothing here are ignored. */
static void control(
	struct machine *m, struct virtio_console *s, const struct virtio_console_control *c)
{
	struct virtio_console_port *p = c->id < s->ports ? &s->port[c->id] : NULL;

	if (c->event == VIRTIO_CONSOLE_DEVICE_READY && c->value == 1) {
		for (u32 i = 0; i < s->ports; i++) {
			if (!s->port[i].added)
				s->port[i].tell |= TELL(VIRTIO_CONSOLE_DEVICE_ADD);
			s->port[i].added = 1;
		}
	} else if (p && p->added && c->event == VIRTIO_CONSOLE_PORT_READY && c->value == 1) {
		port_ready(s, p);
	} else if (p && p->added && c->event == VIRTIO_CONSOLE_PORT_OPEN) {
		p->open = c->value == 1;
		if (p->open)
			virtio_console_backend_pull(m, c->id);
	}
}

static void process_control(struct machine *m, struct virtio_console *s)
{
	struct virtio_console_control message_of_driver;
	struct virtqueue_chain c;
	u32 done;

	for (done = 0; done < VIRTIO_CONSOLE_SIZE; done++) {
		if (!virtio_look(m, &s->virtio, QUEUE_CONTROL_TX, 0, &c))
			break;
		if (c.write_bytes ||
			!virtqueue_read(&c, 0, &message_of_driver, sizeof(message_of_driver))) {
			virtio_broken(m, &s->virtio);
			return;
		}
		virtio_finish(m, &s->virtio, QUEUE_CONTROL_TX, c.head, 0);
		control(m, s, &message_of_driver);
	}
	if (done == VIRTIO_CONSOLE_SIZE)
		virtio_again(m, &s->virtio, QUEUE_CONTROL_TX);
	virtio_interrupt(m, &s->virtio, QUEUE_CONTROL_TX);
	tell_all(m, s);
}

/* Moves a chain's bytes to the backend; false: some wait. */
static bool send(
	struct machine *m, u32 port, struct virtio_console_port *p, const struct virtqueue_chain *c)
{
	u8 bytes[CHUNK];

	while (p->sent < c->read_bytes) {
		u32 size = c->read_bytes - p->sent;
		u32 taken;

		if (size > CHUNK)
			size = CHUNK;
		virtqueue_read(c, p->sent, bytes, size);
		taken = virtio_console_backend_put(m, port, bytes, size);
		p->sent += taken;
		if (taken < size)
			return false;
	}
	return true;
}

static void transmit(struct machine *m, struct virtio_console *s, u32 port)
{
	struct virtio_console_port *p = &s->port[port];
	u32 queue = transmit_queue(port);
	struct virtqueue_chain c;
	u32 done;

	for (done = 0; done < VIRTIO_CONSOLE_SIZE; done++) {
		if (!virtio_look(m, &s->virtio, queue, 0, &c))
			break;
		if (c.write_bytes) {
			virtio_broken(m, &s->virtio);
			return;
		}
		if (!send(m, port, p, &c))
			break;
		p->sent = 0;
		virtio_finish(m, &s->virtio, queue, c.head, 0);
	}
	if (done == VIRTIO_CONSOLE_SIZE)
		virtio_again(m, &s->virtio, queue);
	virtio_interrupt(m, &s->virtio, queue);
}

static void process(struct machine *m, struct virtio *d, u32 queue)
{
	struct virtio_console *s = (struct virtio_console *)d;
	u32 port = port_of(queue);

	if (queue >= QUEUE_CONTROL_RX && !multiport(s))
		return;
	if (queue == QUEUE_CONTROL_RX)
		tell_all(m, s);
	else if (queue == QUEUE_CONTROL_TX)
		process_control(m, s);
	else if (port < s->ports && queue == transmit_queue(port))
		transmit(m, s, port);
	else if (port < s->ports)
		virtio_console_backend_pull(m, port);
}

bool virtio_console_open(const struct virtio_console *s, u32 port)
{
	if (port >= s->ports)
		return false;
	return multiport(s) ? s->port[port].open : port == 0;
}

u32 virtio_console_receive(
	struct machine *m, struct virtio_console *s, u32 port, const u8 *bytes, u32 count)
{
	u32 queue = receive_queue(port);
	struct virtqueue_chain c;
	u32 done = 0;

	while (virtio_console_open(s, port) && done < count &&
		virtio_look(m, &s->virtio, queue, 0, &c)) {
		u32 size = count - done < c.write_bytes ? count - done : c.write_bytes;

		if (c.read_bytes) {
			virtio_broken(m, &s->virtio);
			break;
		}
		virtqueue_write(&c, 0, bytes + done, size);
		virtio_finish(m, &s->virtio, queue, c.head, size);
		done += size;
	}
	if (done)
		virtio_interrupt(m, &s->virtio, queue);
	return done;
}

void virtio_console_ready(struct machine *m, struct virtio_console *s, u32 port)
{
	if (port < s->ports)
		virtio_notify(m, &s->virtio, transmit_queue(port));
}

bool virtio_console_waiting(struct machine *m, struct virtio_console *s, u32 port)
{
	struct virtqueue_chain c;

	return port < s->ports && virtio_look(m, &s->virtio, transmit_queue(port), 0, &c);
}

static u64 features(const struct virtio_console *s)
{
	u64 bits = VIRTIO_CONSOLE_F_EMERG_WRITE;

	if (s->cols)
		bits |= VIRTIO_CONSOLE_F_SIZE;
	if (s->virtio.queues > QUEUE_CONTROL_RX)
		bits |= VIRTIO_CONSOLE_F_MULTIPORT;
	return bits;
}

void virtio_console_resize(struct machine *m, struct virtio_console *s, u16 cols, u16 rows)
{
	if (s->cols == cols && s->rows == rows)
		return;
	s->cols = cols;
	s->rows = rows;
	if (!s->virtio.status)
		s->virtio.offered = features(s) | VIRTIO_F_ALL;
	if (!multiport(s)) {
		virtio_config_changed(m, &s->virtio);
		return;
	}
	s->virtio.changed = 1;
	for (u32 i = 0; i < s->ports; i++) {
		if (s->port[i].console && s->port[i].added)
			s->port[i].tell |= TELL(VIRTIO_CONSOLE_RESIZE);
	}
	tell_all(m, s);
}

static void queue_reset(struct machine *m, struct virtio *d, u32 queue)
{
	struct virtio_console *s = (struct virtio_console *)d;
	u32 port = port_of(queue);

	(void)m;
	if (port < s->ports && queue == transmit_queue(port))
		s->port[port].sent = 0;
}

static void reset(struct machine *m, struct virtio *d)
{
	struct virtio_console *s = (struct virtio_console *)d;

	(void)m;
	for (u32 i = 0; i < s->ports; i++) {
		s->port[i].sent = 0;
		s->port[i].tell = 0;
		s->port[i].added = 0;
		s->port[i].open = 0;
	}
	d->offered = features(s) | VIRTIO_F_ALL;
}

const struct virtio_model virtio_console_model = {
	.class_code = CLASS_COMMUNICATION,
	.config_bytes = sizeof(struct virtio_console_config),
	.config = config,
	.config_write = config_write,
	.process = process,
	.queue_reset = queue_reset,
	.reset = reset,
};

bool virtio_console_init(struct machine *m, struct virtio_console *s, u8 devfn, u8 ports,
	const char names[][VIRTIO_CONSOLE_NAME])
{
	struct virtio_setup setup = {
		.magic = VIRTIO_CONSOLE_MAGIC,
		.bytes = sizeof(*s),
		.type = VIRTIO_TYPE_CONSOLE,
		.devfn = devfn,
		.queues = 2,
		.size = VIRTIO_CONSOLE_SIZE,
	};

	memset(s, 0, sizeof(*s));
	if (ports == 0 || ports > VIRTIO_CONSOLE_PORTS)
		return false;
	s->ports = ports;
	for (u32 i = 0; i < ports; i++) {
		memcpy(s->port[i].name, names[i], strnlen(names[i], VIRTIO_CONSOLE_NAME - 1));
		s->port[i].console = !s->port[i].name[0];
	}
	if (ports > 1 || s->port[0].name[0])
		setup.queues = (u8)((ports + 1) * 2);
	if (!virtio_init(m, &s->virtio, &setup))
		return false;
	s->virtio.offered |= features(s);
	return true;
}
