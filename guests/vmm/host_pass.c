/* The functions of the machine's own that a guest has: system calls, registers, ports. */
#include "drivers/lib/device.h"
#include "drivers/lib/port.h"
#include "host.h"

/* What this process has of each. */
static struct function {
	struct device device;
	bool can_reset;
	struct device_interrupt line;
	struct device_interrupt message[PASS_VECTORS]; /* irq CAP_NULL: not made yet */
	struct {
		u64 address; /* 0: there is none. Memory: where it is mapped; else the first port */
		u64 size;
		u64 offset; /* in its mem */
		cap_t mem;  /* CAP_NULL: ports */
	} bar[PCI_REGIONS];
} functions[MACHINE_FUNCTIONS];

u32 pass_config(struct machine *m, u8 number, u32 offset, unsigned size)
{
	(void)m;
	return device_config(&functions[number].device, offset, size);
}

u32 pass_capability(struct machine *m, u8 number, u8 id)
{
	(void)m;
	return device_capability(&functions[number].device, id, 0);
}

bool pass_can_reset(struct machine *m, u8 number)
{
	(void)m;
	return functions[number].can_reset;
}

void pass_dma(struct machine *m, u8 number, bool on)
{
	struct function *f = &functions[number];

	(void)m;
	if (!on) {
		device_stop(&f->device);
		return;
	}
	device_start(&f->device);
	for (u32 i = 0; i < PASS_VECTORS; i++) { /* stopping it has switched its messages off */
		if (f->message[i].irq != CAP_NULL)
			sys_irq_ctl(f->message[i].irq, IRQ_CTL_UNMASK);
	}
}

void pass_reset(struct machine *m, u8 number)
{
	struct function *f = &functions[number];

	(void)m;
	device_reset(&f->device);
	device_stop(&f->device);
}

void pass_want(struct machine *m, u8 number, u32 vector)
{
	struct function *f = &functions[number];

	if (f->message[vector].irq != CAP_NULL)
		sys_irq_ctl(f->message[vector].irq, IRQ_CTL_UNMASK);
	else if (!device_interrupt(
			 &f->device, vector, m->pass.bit[number][vector], &f->message[vector]))
		f->message[vector].irq = CAP_NULL;
}

void pass_line_done(struct machine *m, u8 number)
{
	(void)m;
	device_interrupt_done(&functions[number].line);
}

/* --- registers --- */

u32 pass_register_read(struct machine *m, u8 number, u32 bar, u64 offset, unsigned size)
{
	const struct function *f = &functions[number];
	u64 at = f->bar[bar].address + offset;

	(void)m;
	if (!f->bar[bar].address || offset > f->bar[bar].size || size > f->bar[bar].size - offset)
		return device_mask(size);
	if (f->bar[bar].mem == CAP_NULL)
		return size == 1   ? port_in8((u16)at)
		       : size == 2 ? port_in16((u16)at)
				   : port_in32((u16)at);
	return size == 1   ? mmio_read8((const volatile u8 *)at)
	       : size == 2 ? mmio_read16((const volatile u8 *)at)
			   : mmio_read32((const volatile u8 *)at);
}

void pass_register_write(
	struct machine *m, u8 number, u32 bar, u64 offset, unsigned size, u32 value)
{
	const struct function *f = &functions[number];
	u64 at = f->bar[bar].address + offset;
	bool ports = f->bar[bar].mem == CAP_NULL;

	(void)m;
	if (!f->bar[bar].address || offset > f->bar[bar].size || size > f->bar[bar].size - offset)
		return;
	if (ports && size == 1)
		port_out8((u16)at, (u8)value);
	else if (ports && size == 2)
		port_out16((u16)at, (u16)value);
	else if (ports)
		port_out32((u16)at, value);
	else if (size == 1)
		mmio_write8((volatile u8 *)at, (u8)value);
	else if (size == 2)
		mmio_write16((volatile u8 *)at, (u16)value);
	else
		mmio_write32((volatile u8 *)at, value);
}

bool host_map_registers(struct machine *m, u8 number, u32 bar, gpa_t gpa, u64 offset, u64 size)
{
	const struct function *f = &functions[number];

	return sys_mem_map(m->vm, f->bar[bar].mem, gpa, f->bar[bar].offset + offset, size,
		       MAP_READ | (bar == PCI_ROM_BAR ? MAP_EXEC : MAP_WRITE)) == STATUS_OK;
}

void host_unmap_registers(struct machine *m, gpa_t gpa)
{
	check(sys_mem_unmap(m->vm, gpa) == STATUS_OK);
}

/* --- at the start --- */

/* The function's memory register, or ports, as root lists them. */
static void take_register(struct function *f, const struct start_resource *r, bool ports,
	struct pass_bar bars[PCI_REGIONS])
{
	u32 bar = r->bit;

	if (r->phandle != f->device.function->phandle || bar >= PCI_REGIONS)
		return;
	bars[bar] = (struct pass_bar){.size = r->size, .flags = (u8)r->role};
	f->bar[bar].address = ports ? r->value : r->address;
	f->bar[bar].size = r->size;
	f->bar[bar].offset = ports ? 0 : r->address % PAGE_SIZE;
	f->bar[bar].mem = ports ? CAP_NULL : r->cap;
}

bool host_function_open(const struct start_info *info, u8 number, u32 phandle,
	struct pass_bar bars[PCI_REGIONS], u64 *line)
{
	struct function *f = &functions[number];
	const struct start_resource *r;
	u32 n = 0;

	while ((r = start_find(info, START_FUNCTION, n)) && r->phandle != phandle)
		n++;
	if (!r || !device_open(&f->device, info, n))
		return false;
	f->can_reset = r->size != 0;
	for (u32 i = 0; (r = start_find(info, START_REGISTERS, i)); i++)
		take_register(f, r, false, bars);
	for (u32 i = 0; (r = start_find(info, START_PORTS, i)); i++)
		take_register(f, r, true, bars);
	*line = 0;
	if (device_messages(&f->device) == 0 && device_interrupt(&f->device, 0, 0, &f->line))
		*line = f->line.bits;
	return true;
}
