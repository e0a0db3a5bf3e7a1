/*
 * Cases of dev objects and their interrupts, with QEMU's educational device (docs/specs/edu.txt):
 * it copies between its own 4 KiB and any address that it is told, and interrupts when asked.
 */
#include "drivers/test/test.h"

#define IDENTITY   0x010000edu
#define ALIVE      0x04
#define RAISE      0x60
#define ACK        0x64
#define DMA_FROM   0x80
#define DMA_TO     0x88
#define DMA_COUNT  0x90
#define DMA_DO     0x98
#define DMA_START  1u
#define DMA_TO_RAM 2u
#define BUFFER     0x40000u
#define DMA_US     1000000u /* it begins 100 ms after the command */
#define VENDOR     0x00
#define COMMAND    0x04
#define MASTER     BIT(2)

static const struct start_resource *function(void)
{
	return start_find(info, START_FUNCTION, 0);
}

static cap_t dev(void)
{
	return function()->cap;
}

static volatile u32 *at(u32 offset)
{
	return (volatile u32 *)(start_find(info, START_REGISTERS, 0)->address + offset);
}

static u32 config(u32 offset, u32 size)
{
	struct syscall_out out = {0};

	want_status(sys_dev_ctl(dev(), DEV_CTL_READ, 0, offset, size, 0, &out), OK);
	return (u32)out.rdi;
}

static void found(void)
{
	want(start_find(info, START_REGISTERS, 0)->size == 0x100000);
	want(*at(0) == IDENTITY);
	*at(ALIVE) = 0x12345678;
	want(*at(ALIVE) == ~0x12345678u);
}

static void configuration(void)
{
	want(config(VENDOR, 4) == 0x11e81234);
	want(config(VENDOR + 2, 2) == 0x11e8);
	want(config(VENDOR + 1, 1) == 0x12);
	want_status(sys_dev_ctl(dev(), DEV_CTL_READ, 0, 0, 3, 0, NULL), BAD_ARG);
	want_status(sys_dev_ctl(dev(), DEV_CTL_READ, 0, 1, 2, 0, NULL), BAD_ARG);
	want_status(sys_dev_ctl(dev(), DEV_CTL_READ, 0, 4096, 1, 0, NULL), BAD_ARG);
	want_status(sys_dev_ctl(dev(), DEV_CTL_READ, 0, ~0ull, 1, 0, NULL), BAD_ARG);
	want_status(sys_dev_ctl(dev(), DEV_CTL_WRITE, 0, COMMAND, 2, 7, NULL), BAD_CALL);
	want_status(sys_dev_ctl(dev(), (enum dev_ctl_op)99, 0, 0, 0, 0, NULL), BAD_CALL);
	want_status(sys_dev_ctl(START_CAP_DOMAIN, DEV_CTL_READ, 0, 0, 4, 0, NULL), BAD_KIND);
	want_status(sys_dev_ctl(CAP_NULL, DEV_CTL_READ, 0, 0, 4, 0, NULL), BAD_CAP);
	/* to have a function does not allow to give others away */
	*(struct msg_create_dev *)thread_message() =
		(struct msg_create_dev){.sys = dev(), .function = (u32)function()->value};
	want_status(sys_obj_create(KIND_DEV, START_CAP_DOMAIN, slot_next()), BAD_KIND);
}

static status_t new_message(cap_t source, u32 number, cap_t event, u64 bits, cap_t *irq)
{
	*(struct msg_create_irq *)thread_message() = (struct msg_create_irq){
		.source = source, .number = number, .event = event, .bits = bits};
	*irq = slot_next();
	return sys_obj_create(KIND_IRQ, START_CAP_DOMAIN, *irq);
}

static void messages(void)
{
	cap_t event = make_event(EVENT_BITS);
	cap_t irq;

	want_status(new_message(dev(), 1, event, EVENT_BITS, &irq), NOT_SUPPORTED); /* it has one */
	want_status(new_message(START_CAP_DOMAIN, 0, event, EVENT_BITS, &irq), BAD_KIND);
	want_status(new_message(dev(), 0, event, EVENT_BITS | 1, &irq), DENIED);
	want_status(new_message(dev(), 0, event, BIT(33), &irq), OK);
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK); /* messages are DMA */
	for (int i = 0; i < 3; i++) {
		want(wait_bits(EVENT_BITS, 0) == 0);
		*at(RAISE) = 1;
		want(wait_bits(EVENT_BITS, DMA_US) == BIT(33));
		*at(ACK) = 1;
		want_status(sys_irq_ctl(irq, IRQ_CTL_ACK), OK);
	}
	want_status(sys_irq_ctl(irq, IRQ_CTL_MASK), OK);
	*at(RAISE) = 1;
	want(wait_bits(EVENT_BITS, 10000) == 0);
	*at(ACK) = 1;
	want_status(sys_irq_ctl(irq, IRQ_CTL_UNMASK), OK);
	*at(RAISE) = 1;
	want(wait_bits(EVENT_BITS, DMA_US) == BIT(33));
	*at(ACK) = 1;
	want_status(sys_obj_destroy(irq), OK);
	*at(RAISE) = 1;
	want(wait_bits(EVENT_BITS, 10000) == 0);
	*at(ACK) = 1;
	want_status(sys_dev_ctl(dev(), DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
}

static void transfer(u64 from, u64 to, u32 command)
{
	cycles_t end = tsc_now() + tsc_from_us(info->tsc_hz, DMA_US);

	*at(DMA_FROM) = (u32)from;
	*at(DMA_TO) = (u32)to;
	*at(DMA_COUNT) = 64;
	*at(DMA_DO) = command | DMA_START;
	while (*at(DMA_DO) & DMA_START && tsc_now() < end)
		wait_bits(0, 5000);
	want(!(*at(DMA_DO) & DMA_START));
}

/* Copies the first 64 bytes of `page`, at bus address `bus`, to its second 64 by the device. */
static bool copies(u8 *page, u64 bus, u8 fill)
{
	memset(page, fill, 64);
	memset(page + 64, 0, 64);
	transfer(bus, BUFFER, 0);
	transfer(BUFFER, bus + 64, DMA_TO_RAM);
	return page[64] == fill && memcmp(page, page + 64, 64) == 0;
}

static status_t attach(cap_t mem, u64 *bus)
{
	struct syscall_out out = {0};
	status_t s = sys_any(SYS_MEM_MAP, dev(), mem, 0, 0, PAGE_SIZE, MAP_READ | MAP_WRITE, &out);

	*bus = out.rdi;
	return s;
}

static void dma(void)
{
	cap_t mem = make_mem(PAGE_SIZE, PAGE_SIZE);
	u8 *page = map_mem(mem, PAGE_SIZE, MAP_READ | MAP_WRITE);
	u64 bus = 0;

	want_status(sys_any(SYS_MEM_MAP, dev(), mem, 0, 0, 2 * PAGE_SIZE, MAP_READ, NULL), BAD_ARG);
	want_status(attach(START_CAP_DOMAIN, &bus), BAD_KIND);
	want_status(attach(mem, &bus), OK);
	want(page && bus && bus % PAGE_SIZE == 0);
	if (case_failed())
		return;
	want(!copies(page, bus, 1)); /* not started */
	want(!(config(COMMAND, 2) & MASTER));
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	want(config(COMMAND, 2) & MASTER);
	want(copies(page, bus, 2));
	want_status(sys_dev_ctl(dev(), DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
	want(!copies(page, bus, 3));
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	want(copies(page, bus, 4));
	want_status(sys_mem_unmap(dev(), bus), OK);
	want_status(sys_mem_unmap(dev(), bus), NOT_FOUND);
	want_status(sys_dev_ctl(dev(), DEV_CTL_RESET, 0, 0, 0, 0, NULL), NOT_SUPPORTED);
	want(!(config(COMMAND, 2) & MASTER));
}

/* Memory that goes to somebody else is not written any more. */
static void memory_ends(void)
{
	cap_t mem = make_mem(PAGE_SIZE, PAGE_SIZE);
	u64 bus;

	want_status(attach(mem, &bus), OK);
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	want(config(COMMAND, 2) & MASTER);
	want_status(sys_obj_destroy(mem), OK);
	want(!(config(COMMAND, 2) & MASTER));
}

/* Without "dma-unprotected". */
static void held(void)
{
	want(*at(0) == IDENTITY);
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), DENIED);
	want(!(config(COMMAND, 2) & MASTER));
}

const struct test_case device_held_cases[] = {
	{"device_held", held},
	{NULL, NULL},
};

const struct test_case device_cases[] = {
	{"device_found", found},
	{"device_configuration", configuration},
	{"device_messages", messages},
	{"device_dma", dma},
	{"device_memory_ends", memory_ends},
	{NULL, NULL},
};
