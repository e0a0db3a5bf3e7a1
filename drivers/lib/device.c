/* PCI functions of drivers: see device.h. */
#include "drivers/lib/device.h"

#define STATUS      0x06
#define STATUS_CAPS BIT(4)
#define CAPS        0x34
#define CAPS_MAX    48
#define CAP_MSI     0x05u
#define MSIX_LAST   0x7ffu
#define NOTHING     0xffffffffu
#define LINE_MAX    160
#define OWN_BITS    (~0ull << START_BIT_OWN)
#define EXIT_DEVICE 3              /* a device failed */
#define RESET_US    100000         /* PCI Express Base Specification, 6.6.2 */
#define ATTACH_STEP (128ull << 20) /* bytes, as mem_map says */
#define TRIES       8 /* attachments that an earlier program may have left of the same memory */

void device_log(const struct device *d, const char *text, ...)
{
	char line[LINE_MAX];
	va_list args;

	va_start(args, text);
	format_list(line, sizeof(line), text, args);
	va_end(args);
	log_line("PCI function %s: %s", d->name, line);
}

void device_stop(struct device *d)
{
	sys_dev_ctl(d->dev, DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL);
}

void device_fail(struct device *d)
{
	device_stop(d);
	program_exit(EXIT_DEVICE);
}

bool device_reset(struct device *d)
{
	if (sys_dev_ctl(d->dev, DEV_CTL_RESET, 0, 0, 0, 0, NULL) != STATUS_OK)
		return false;
	device_wait(d, RESET_US);
	return device_start(d);
}

void device_wait(const struct device *d, u64 us)
{
	cycles_t end = tsc_now() + tsc_from_us(d->info->tsc_hz, us);
	u64 bits;

	sys_event_wait(0, end, &bits);
}

/* Attaches `size` bytes of `mem`. What an earlier program attached of it, memory of a session or a
 * guest, is detached first, so that there is one attachment, whatever the kernel makes of two. */
static status_t attach(struct device *d, cap_t mem, u64 offset, u64 size, u64 *bus)
{
	struct syscall_out out = {0};
	status_t s;

	s = sys_any(SYS_MEM_MAP, d->dev, mem, 0, offset, size, MAP_READ | MAP_WRITE, &out);
	if (s != STATUS_OK && s != STATUS_EXISTS)
		return s;
	for (int i = 0; i < TRIES && sys_mem_unmap(d->dev, out.rdi) == STATUS_OK; i++)
		;
	s = sys_any(SYS_MEM_MAP, d->dev, mem, 0, offset, size, MAP_READ | MAP_WRITE, &out);
	*bus = out.rdi;
	return s;
}

static bool take_memory(struct device *d)
{
	const struct start_resource *r = start_find(d->info, START_DMA, 0);
	status_t s;

	if (!r)
		return true;
	s = attach(d, r->cap, 0, ALIGN_DOWN(r->size, PAGE_SIZE), &d->bus);
	if (s != STATUS_OK) {
		device_log(d, "its memory cannot be attached: %s", status_text(s));
		return false;
	}
	d->memory = (u8 *)r->address;
	d->left = (u32)ALIGN_DOWN(r->size, PAGE_SIZE);
	return true;
}

bool device_open(struct device *d, const struct start_info *info, u32 n)
{
	struct msg_create_event *m = thread_message();
	const struct start_resource *r = start_find(info, START_FUNCTION, n);
	cycles_t now = tsc_now();
	status_t s;

	*d = (struct device){.info = info, .function = r};
	if (!r) {
		log_line("its node has no \"access\" to a PCI function");
		return false;
	}
	d->dev = r->cap;
	format(d->name, sizeof(d->name), "%02x:%02x.%x", (u32)r->value >> 8 & 0xff,
		(u32)r->value >> 3 & 31, (u32)r->value & 7);
	*m = (struct msg_create_event){.thread = START_CAP_THREAD, .mask = OWN_BITS};
	d->event = slot_new();
	s = sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, d->event);
	if (s != STATUS_OK) {
		device_log(d, "no event for its interrupts: %s", status_text(s));
		return false;
	}
	if (r->size > now) {
		u64 bits;

		sys_event_wait(0, r->size, &bits);
	}
	/* After a reset its addresses come back with the start; it is idle, and so may have it. */
	return take_memory(d) && (r->size == 0 || device_start(d));
}

u64 device_time(const struct device *d)
{
	u64 hz = d->info->tsc_hz;
	u64 now = tsc_now();

	return now / hz * 1000000 + now % hz * 1000000 / hz;
}

u32 device_config(const struct device *d, u32 offset, u32 size)
{
	struct syscall_out out = {0};

	if (sys_dev_ctl(d->dev, DEV_CTL_READ, 0, offset, size, 0, &out) != STATUS_OK)
		return NOTHING;
	return (u32)out.rdi;
}

u32 device_capability(const struct device *d, u32 id, u32 after)
{
	u32 at = after ? after + 1 : CAPS;

	if (!(device_config(d, STATUS, 2) & STATUS_CAPS))
		return 0;
	for (int i = 0; i < CAPS_MAX; i++) {
		at = device_config(d, at, 1) & 0xfc;
		if (at < 0x40)
			return 0;
		if (device_config(d, at, 1) == id)
			return at;
		at++;
	}
	return 0;
}

volatile u8 *device_registers(const struct device *d, u32 bar, u64 offset, u64 size)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(d->info, START_REGISTERS, i)) != NULL; i++) {
		if (r->phandle == d->function->phandle && r->value == bar)
			return offset <= r->size && size <= r->size - offset
				       ? (volatile u8 *)r->address + offset
				       : NULL;
	}
	return NULL;
}

void *device_alloc(struct device *d, u64 size, u64 align, u64 *bus)
{
	u64 skip = ALIGN_UP(d->bus, align) - d->bus;
	void *found;

	if (!d->memory || skip > d->left || size > d->left - skip) {
		device_log(d, "its memory for DMA is used up: raise \"dma-kib\"");
		return NULL;
	}
	found = d->memory + skip;
	*bus = d->bus + skip;
	d->memory += skip + size;
	d->bus += skip + size;
	d->left -= (u32)(skip + size);
	return found;
}

bool device_session(
	struct device *d, const struct start_resource *session, u64 offset, u64 size, u64 *bus)
{
	status_t s = attach(d, session->mem, offset, size, bus);

	if (s != STATUS_OK)
		device_log(d, "the session of %s cannot be attached: %s", session->name,
			status_text(s));
	return s == STATUS_OK;
}

/* In steps that a call always takes; the bus address of a mem goes on from one to the next. */
bool device_guest(struct device *d, const struct start_resource *part, u64 *bus)
{
	status_t s = STATUS_OK;
	u64 at = 0;

	for (u64 done = 0; done < part->size && s == STATUS_OK; done += ATTACH_STEP) {
		u64 left = part->size - done;

		s = attach(d, part->cap, done, left < ATTACH_STEP ? left : ATTACH_STEP, &at);
		if (done == 0)
			*bus = at;
		check(s != STATUS_OK || at == *bus + done);
	}
	if (s == STATUS_OK)
		return true;
	device_guest_end(d, part, *bus);
	device_log(d, "the memory of %s cannot be attached: %s", part->name, status_text(s));
	return false;
}

void device_guest_end(struct device *d, const struct start_resource *part, u64 bus)
{
	for (u64 done = 0; done < part->size; done += ATTACH_STEP)
		sys_mem_unmap(d->dev, bus + done);
}

bool device_start(struct device *d)
{
	status_t s = sys_dev_ctl(d->dev, DEV_CTL_START, 0, 0, 0, 0, NULL);

	if (s == STATUS_DENIED)
		device_log(d, "it may do no DMA: no IOMMU holds it back, and its node does not say "
			      "\"dma-unprotected\"");
	else if (s != STATUS_OK)
		device_log(d, "it cannot be started: %s", status_text(s));
	return s == STATUS_OK;
}

bool device_ports(const struct device *d, bool own, u32 n, u16 *base, u32 *count)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(d->info, START_PORTS, i)) != NULL; i++) {
		if ((r->phandle == d->function->phandle) != own || n-- > 0)
			continue;
		*base = (u16)r->value;
		*count = (u32)r->size;
		return true;
	}
	return false;
}

bool device_isa_interrupt(const struct device *d, struct device_interrupt *out)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(d->info, START_IRQ, i)) != NULL; i++) {
		if (r->phandle == d->function->phandle)
			continue;
		*out = (struct device_interrupt){.irq = r->cap, .bits = BIT(r->bit)};
		return true;
	}
	device_log(d, "its node has no \"access\" to a device with an interrupt");
	return false;
}

u32 device_messages(const struct device *d)
{
	u32 msix = device_capability(d, PCI_CAP_MSIX, 0);

	if (msix)
		return (device_config(d, msix + 2, 2) & MSIX_LAST) + 1;
	return device_capability(d, CAP_MSI, 0) ? 1 : 0; /* the kernel gives one of them */
}

bool device_interrupt(struct device *d, u32 number, u32 bit, struct device_interrupt *out)
{
	struct msg_create_irq *m = thread_message();
	const struct start_resource *r;
	status_t s;

	if (device_messages(d) > 0) {
		*out = (struct device_interrupt){.irq = slot_new(), .bits = BIT(bit)};
		*m = (struct msg_create_irq){
			.source = d->dev, .number = number, .event = d->event, .bits = BIT(bit)};
		s = sys_obj_create(KIND_IRQ, START_CAP_DOMAIN, out->irq);
		if (s != STATUS_OK)
			device_log(d, "no interrupt for message %u: %s", number, status_text(s));
		return s == STATUS_OK;
	}
	for (u32 i = 0; (r = start_find(d->info, START_IRQ, i)) != NULL; i++) {
		if (r->phandle != d->function->phandle)
			continue;
		*out = (struct device_interrupt){.irq = r->cap, .bits = BIT(r->bit), .line = true};
		return true;
	}
	device_log(d, "it has no interrupt");
	return false;
}
