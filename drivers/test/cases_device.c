/*
 * Cases of dev objects and their interrupts, with QEMU's educational device (docs/specs/edu.txt):
 * it copies between its own 4 KiB and any address that it is told, and interrupts when asked. The
 * cases are the same with and without an IOMMU; what they want is not.
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
#define PLACE      0x200000000000ull /* a free address of the program */
#define DMA_US     1000000u          /* it begins 100 ms after the command */
#define VENDOR     0x00
#define COMMAND    0x04
#define MASTER     BIT(2)
#define CAPS       0x34
#define MSI        0x05
#define REMAPPABLE BIT(4) /* of a message's address: VT-d specification, 5.1.2.2 */

/* e1000e */
#define CARD_TABLE      3 /* memory register with the MSI-X table */
#define CARD_ICR        0xc0
#define CARD_ICS        0xc8
#define CARD_IMS        0xd0
#define CARD_IVAR       0xe4
#define CARD_OTHER_TO_0 (8u << 16) /* other causes: valid, message 0 */
#define CARD_LINK       BIT(2)
#define CARD_OTHER      BIT(24)

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

/* FENCE_* of a function. */
static u32 fence(cap_t function_cap)
{
	struct syscall_out out = {0};

	want_status(sys_dev_ctl(function_cap, DEV_CTL_FENCE, 0, 0, 0, 0, &out), OK);
	return (u32)out.rdi;
}

static u32 config_of(cap_t function_cap, u32 offset, u32 size)
{
	struct syscall_out out = {0};

	want_status(sys_dev_ctl(function_cap, DEV_CTL_READ, 0, offset, size, 0, &out), OK);
	return (u32)out.rdi;
}

static u32 config(u32 offset, u32 size)
{
	return config_of(dev(), offset, size);
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

static void transfer_some(u64 from, u64 to, u32 count, u32 command)
{
	cycles_t end = tsc_now() + tsc_from_us(info->tsc_hz, DMA_US);

	*at(DMA_FROM) = (u32)from;
	*at(DMA_TO) = (u32)to;
	*at(DMA_COUNT) = count;
	*at(DMA_DO) = command | DMA_START;
	while (*at(DMA_DO) & DMA_START && tsc_now() < end)
		wait_bits(0, 5000);
	want(!(*at(DMA_DO) & DMA_START));
}

static void transfer(u64 from, u64 to, u32 command)
{
	transfer_some(from, to, 64, command);
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

static status_t attach_as(cap_t mem, u64 flags, u64 *bus)
{
	struct syscall_out out = {0};
	status_t s = sys_any(SYS_MEM_MAP, dev(), mem, 0, 0, PAGE_SIZE, flags, &out);

	*bus = out.rdi;
	return s;
}

static status_t attach(cap_t mem, u64 *bus)
{
	return attach_as(mem, MAP_READ | MAP_WRITE, bus);
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

/* Memory beside the driver's own that the device is told to read and write. */
struct window {
	u8 *page;
	u64 bus;
};

static struct window window(u64 flags)
{
	cap_t mem = make_mem(PAGE_SIZE, PAGE_SIZE);
	struct window w = {.page = map_mem(mem, PAGE_SIZE, MAP_READ | MAP_WRITE)};

	want_status(attach_as(mem, flags, &w.bus), OK);
	want(w.page && w.bus);
	return w;
}

/* Does the device find out what is in `w`? */
static bool reads(struct window own, struct window w)
{
	memset(w.page, 0x5a, 64);
	memset(own.page, 0x11, 64);
	transfer(own.bus, BUFFER, 0);
	transfer(w.bus, BUFFER, 0);
	transfer(BUFFER, own.bus, DMA_TO_RAM);
	return own.page[0] == 0x5a && memcmp(own.page, w.page, 64) == 0;
}

static bool writes(struct window own, struct window w)
{
	memset(own.page, 0xa5, 64);
	transfer(own.bus, BUFFER, 0);
	memset(w.page, 0, 64); /* it may be the own one */
	transfer(BUFFER, w.bus, DMA_TO_RAM);
	return w.page[0] == 0xa5 && w.page[63] == 0xa5;
}

/* An IOMMU keeps the device to what is attached; without one it reaches all, which shows that the
 * accesses are real. */
static void windows(void)
{
	bool fenced = fence(dev()) & FENCE_DMA;
	struct window own = window(MAP_READ | MAP_WRITE);
	struct window read_only = window(MAP_READ);
	struct window taken = window(MAP_READ | MAP_WRITE);

	if (case_failed())
		return;
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	want(writes(own, taken));
	want(reads(own, taken));
	want(reads(own, read_only));
	want(writes(own, read_only) == !fenced);
	want_status(sys_mem_unmap(dev(), taken.bus), OK);
	want(writes(own, taken) == !fenced);
	want(reads(own, taken) == !fenced);
	want(writes(own, own));
	want_status(sys_dev_ctl(dev(), DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
	want(!writes(own, read_only));
}

/* Memory at a bus address of the program's choice, which only an IOMMU can give it. */
static void placed(void)
{
	bool fenced = fence(dev()) & FENCE_DMA;
	cap_t mem = make_mem(2 * PAGE_SIZE, PAGE_SIZE);
	u8 *page = map_mem(mem, 2 * PAGE_SIZE, MAP_READ | MAP_WRITE);
	u64 flags = MAP_READ | MAP_WRITE | MAP_AT;
	u64 size = PAGE_SIZE;
	u64 bus = 0x7000; /* RAM of somebody else's */

	want_status(
		sys_any(SYS_MEM_MAP, START_CAP_DOMAIN, mem, PLACE, 0, size, flags, NULL), BAD_ARG);
	if (!fenced) {
		want_status(
			sys_any(SYS_MEM_MAP, dev(), mem, bus, 0, size, flags, NULL), NOT_SUPPORTED);
		return;
	}
	want_status(sys_any(SYS_MEM_MAP, dev(), mem, bus + 1, 0, size, flags, NULL), BAD_ARG);
	want_status(sys_any(SYS_MEM_MAP, dev(), mem, bus, size, size, flags, NULL), OK);
	want_status(sys_any(SYS_MEM_MAP, dev(), mem, bus, 0, size, flags, NULL), EXISTS);
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	want(page && copies(page + PAGE_SIZE, bus, 5));
	want_status(sys_mem_unmap(dev(), bus), OK);
	want(page && !copies(page + PAGE_SIZE, bus, 6));
	want_status(sys_dev_ctl(dev(), DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
}

/* Memory register `bar` of a function; it has one. */
static volatile u32 *registers_of(const struct start_resource *f, u32 bar)
{
	const struct start_resource *r = start_find(info, START_REGISTERS, 0);

	for (u32 i = 1; r && (r->phandle != f->phandle || r->value != bar); i++)
		r = start_find(info, START_REGISTERS, i);
	check(r);
	return (volatile u32 *)r->address;
}

/* The message of the neighbour, another `edu`, as its configuration space shows it. */
struct forge {
	cap_t dev;
	cap_t irq; /* sets BIT(34) */
	volatile u32 *registers;
	u32 address;
	u32 data;
};

static struct forge neighbour(void)
{
	const struct start_resource *second = start_find(info, START_FUNCTION, 1);
	struct forge f = {.dev = second->cap, .registers = registers_of(second, 0)};
	u32 msi = config_of(f.dev, CAPS, 1);

	want_status(new_message(f.dev, 0, make_event(EVENT_BITS), BIT(34), &f.irq), OK);
	while (msi && config_of(f.dev, msi, 1) != MSI)
		msi = config_of(f.dev, msi + 1, 1);
	want(msi);
	want_status(sys_dev_ctl(f.dev, DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	f.address = config_of(f.dev, msi + 4, 4);
	f.data = config_of(f.dev, msi + 12, 2);
	want(f.address >> 20 == 0xfee);
	return f;
}

/* What the neighbour itself sends comes. */
static void neighbour_end(const struct forge *f)
{
	f->registers[RAISE / 4] = 1;
	want(wait_bits(EVENT_BITS, DMA_US) == BIT(34));
	f->registers[ACK / 4] = 1;
	want_status(sys_dev_ctl(f->dev, DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
}

/* The device writes its neighbour's message as if it were data. */
static void forged_by_dma(void)
{
	bool fenced = fence(dev()) & FENCE_INTERRUPTS;
	struct window own = window(MAP_READ | MAP_WRITE);
	struct forge f = neighbour();

	if (case_failed())
		return;
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	*(volatile u32 *)own.page = f.data;
	transfer_some(own.bus, BUFFER, 4, 0);
	transfer_some(BUFFER, f.address, 4, DMA_TO_RAM);
	/* QEMU's VT-d does not ask who wrote it if it was DMA: tests/README.md. */
	if (!(f.address & REMAPPABLE))
		want(wait_bits(EVENT_BITS, DMA_US) == (fenced ? 0 : BIT(34)));
	wait_bits(EVENT_BITS, 0);
	neighbour_end(&f);
	want_status(sys_dev_ctl(dev(), DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
}

/*
 * A driver writes its neighbour's message into the MSI-X table of its own device, an e1000e (Intel
 * 82574 data sheet, 10.2.4), which interrupts when it is asked.
 */
static void forged_by_msix(void)
{
	const struct start_resource *card = start_find(info, START_FUNCTION, 2);
	volatile u32 *registers = registers_of(card, 0);
	volatile u32 *table = registers_of(card, CARD_TABLE);
	bool fenced = fence(card->cap) & FENCE_INTERRUPTS;
	struct forge f = neighbour();
	cap_t irq;

	while (tsc_now() < card->size) /* its reset */
		wait_bits(0, 1000);
	want_status(sys_dev_ctl(card->cap, DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	want_status(new_message(card->cap, 0, make_event(EVENT_BITS), BIT(33), &irq), OK);
	if (case_failed())
		return;
	registers[CARD_IVAR / 4] = CARD_OTHER_TO_0;
	registers[CARD_IMS / 4] = CARD_LINK | CARD_OTHER;
	registers[CARD_ICS / 4] = CARD_LINK | CARD_OTHER;
	want(wait_bits(EVENT_BITS, DMA_US) == BIT(33)); /* its own */
	table[3] = 1;
	table[0] = f.address;
	table[2] = f.data;
	table[3] = 0;
	registers[CARD_ICR / 4] = ~0u;
	registers[CARD_IMS / 4] = CARD_LINK | CARD_OTHER;
	registers[CARD_ICS / 4] = CARD_LINK | CARD_OTHER;
	want(wait_bits(EVENT_BITS, DMA_US) == (fenced ? 0 : BIT(34)));
	want_status(sys_dev_ctl(card->cap, DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
	neighbour_end(&f);
}

/* Memory that goes to somebody else is not written any more. */
static void memory_ends(void)
{
	bool fenced = fence(dev()) & FENCE_DMA;
	struct window own = window(MAP_READ | MAP_WRITE);
	cap_t mem = make_mem(PAGE_SIZE, PAGE_SIZE);
	struct window lost = {.page = map_mem(mem, PAGE_SIZE, MAP_READ | MAP_WRITE)};

	want_status(attach(mem, &lost.bus), OK);
	want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
	want(config(COMMAND, 2) & MASTER);
	want_status(sys_obj_destroy(mem), OK);
	want(!(config(COMMAND, 2) & MASTER) == !fenced);
	lost = window(MAP_READ); /* likely the same */
	want(!writes(own, lost));
	want(writes(own, own) == fenced);
	want_status(sys_dev_ctl(dev(), DEV_CTL_QUIESCE, 0, 0, 0, 0, NULL), OK);
}

/* Without "dma-unprotected" a fence is needed. */
static void held(void)
{
	want(*at(0) == IDENTITY);
	if (fence(dev()) == (FENCE_DMA | FENCE_INTERRUPTS)) {
		want_status(sys_dev_ctl(dev(), DEV_CTL_START, 0, 0, 0, 0, NULL), OK);
		want(config(COMMAND, 2) & MASTER);
		return;
	}
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
	{"device_windows", windows},
	{"device_placed", placed},
	{"device_forged_by_dma", forged_by_dma},
	{"device_forged_by_msix", forged_by_msix},
	{"device_memory_ends", memory_ends},
	{NULL, NULL},
};
