/* Which local APICs a message reaches, and the pins LINT0 and LINT1. */
#include "guests/vmm/dev/lapic.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

#define CPUS 4

static struct machine m;
static struct lapic state[CPUS];
static struct lapic_page page[CPUS];
static struct run_pending pending[CPUS];
static struct lapic_view view[CPUS];

/* Four APICs with IDs 0 to 3, software-enabled, in flat logical mode with one bit each. */
static void start(void)
{
	fake_init(&m);
	for (u32 i = 0; i < CPUS; i++) {
		const struct lapic_features features = {
			.address_bits = 36, .bsp = i == 0, .x2apic = true};

		view[i] = (struct lapic_view){&state[i], &page[i], &pending[i]};
		lapic_init(&view[i], i, features);
		pending[i].control = 0;
		lapic_write(&m, &view[i], LAPIC_SVR, 4, 0x1ff);
		lapic_write(&m, &view[i], LAPIC_LDR, 4, 1u << (24 + i));
	}
}

/* Sends, and returns a bit for each APIC that got the vector. */
static u32 route(u32 source, struct lapic_ipi ipi)
{
	u32 got = 0;

	ipi.assert = true;
	lapic_route(&m, view, CPUS, source, &ipi);
	for (u32 i = 0; i < CPUS; i++) {
		u64 bit = BIT(ipi.vector % 64);

		if (pending[i].vector[ipi.vector / 64] & bit)
			got |= 1u << i;
		pending[i].vector[ipi.vector / 64] &= ~bit;
		pending[i].control = 0;
	}
	return got;
}

TEST(physical)
{
	start();
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 2, .vector = 0x40}), 4);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 9, .vector = 0x40}), 0);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0xff, .vector = 0x40}), 0);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = LAPIC_BROADCAST, .vector = 0x40}), 15);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0x102, .vector = 0x40}), 0);
}

TEST(logical_flat_and_cluster)
{
	start();
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0x0a, .logical = true, .vector = 0x40}),
		0x0a);
	for (u32 i = 0; i < CPUS; i++) {
		lapic_write(&m, &view[i], LAPIC_DFR, 4, 0x0fffffff);
		/* clusters 0 and 1 with two members each */
		lapic_write(&m, &view[i], LAPIC_LDR, 4, (i / 2 << 4 | 1u << i % 2) << 24);
	}
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0x13, .logical = true, .vector = 0x40}),
		0x0c);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0x01, .logical = true, .vector = 0x40}),
		0x01);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0x21, .logical = true, .vector = 0x40}),
		0);
}

TEST(x2apic)
{
	start();
	for (u32 i = 0; i < CPUS; i++) {
		state[i].id = 0x1e + i; /* across two clusters */
		CHECK(lapic_wrmsr(
			&m, &view[i], LAPIC_MSR_APIC_BASE, 0, 0xfee00c00 | (i ? 0 : 0x100)));
	}
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0x1f, .vector = 0x40}), 2);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = 0xff, .vector = 0x40}), 0);
	CHECK_EQ(route(0, (struct lapic_ipi){.destination = LAPIC_BROADCAST, .vector = 0x40}), 15);
	CHECK_EQ(route(0,
			 (struct lapic_ipi){
				 .destination = 0x1c000, .logical = true, .vector = 0x40}),
		3);
	CHECK_EQ(route(0,
			 (struct lapic_ipi){
				 .destination = 0x20003, .logical = true, .vector = 0x40}),
		12);
}

TEST(shorthands)
{
	start();
	CHECK_EQ(route(1, (struct lapic_ipi){.shorthand = LAPIC_TO_SELF, .vector = 0x40}), 2);
	CHECK_EQ(route(1, (struct lapic_ipi){.shorthand = LAPIC_TO_ALL, .vector = 0x40}), 15);
	CHECK_EQ(route(1, (struct lapic_ipi){.shorthand = LAPIC_TO_OTHERS, .vector = 0x40}), 13);
	CHECK_EQ(route(~0u, (struct lapic_ipi){.shorthand = LAPIC_TO_SELF, .vector = 0x40}), 0);
	CHECK_EQ(route(0, (struct lapic_ipi){.shorthand = 7, .vector = 0x40}), 0);
}

TEST(lowest_priority)
{
	const struct lapic_ipi ipi = {
		.destination = 0xf, .logical = true, .delivery = LAPIC_LOWEST, .vector = 0x40};

	start();
	CHECK_EQ(route(0, ipi), 1);
	for (u32 i = 0; i < CPUS; i++)
		lapic_write(&m, &view[i], LAPIC_TPR, 4, 0x50 - i % 3 * 0x10);
	CHECK_EQ(route(0, ipi), 4);
	lapic_write(&m, &view[2], LAPIC_SVR, 4, 0xff); /* disabled ones are no candidates */
	CHECK_EQ(route(0, ipi), 2);
	for (u32 i = 0; i < CPUS; i++)
		lapic_write(&m, &view[i], LAPIC_SVR, 4, 0xff);
	CHECK_EQ(route(0, ipi), 0);
}

TEST(other_deliveries)
{
	start();
	lapic_write(&m, &view[1], LAPIC_SVR, 4, 0xff); /* a disabled APIC takes these too */
	route(0, (struct lapic_ipi){.destination = 1, .delivery = LAPIC_NMI});
	route(0, (struct lapic_ipi){.destination = 1, .delivery = LAPIC_INIT});
	route(0, (struct lapic_ipi){.destination = 1, .delivery = LAPIC_STARTUP, .vector = 0x9f});
	route(0, (struct lapic_ipi){.destination = 1, .delivery = LAPIC_SMI});
	route(0, (struct lapic_ipi){.destination = 1, .delivery = LAPIC_EXTINT});
	CHECK_EQ(m.nmis, 1);
	CHECK_EQ(m.inits, 1);
	CHECK_EQ(m.startups, 1);
	CHECK_EQ(m.startup_page, 0x9f);
	lapic_route(&m, view, CPUS, 0,
		&(struct lapic_ipi){.destination = 1, .delivery = LAPIC_INIT, .level = true});
	CHECK_EQ(m.inits, 1); /* a level de-assert does nothing */
	route(0, (struct lapic_ipi){.destination = 0, .vector = 3});
	lapic_write(&m, &view[0], LAPIC_ESR, 4, 0);
	CHECK_EQ(lapic_read(&m, &view[0], LAPIC_ESR, 4), LAPIC_ESR_RECEIVE_ILLEGAL);
}

TEST(messages)
{
	struct lapic_ipi ipi;

	CHECK(!lapic_parse_message(0xfed00000, 0, &ipi));
	CHECK(!lapic_parse_message(0x1fee00000, 0, &ipi));
	CHECK(lapic_parse_message(0xfee0300c, 0x4123, &ipi));
	CHECK_EQ(ipi.destination, 3);
	CHECK(ipi.logical && !ipi.level && ipi.assert);
	CHECK_EQ(ipi.vector, 0x23);
	CHECK_EQ(ipi.delivery, LAPIC_LOWEST);
	CHECK(lapic_parse_message(0xfeeff000, 0xc041, &ipi));
	CHECK_EQ(ipi.destination, LAPIC_BROADCAST);
	CHECK(ipi.level && ipi.assert && !ipi.logical);
	CHECK(lapic_parse_message(0xfee00000, 0x8041, &ipi));
	CHECK(!ipi.assert);
}

TEST(level_is_noted)
{
	start();
	lapic_accept(&view[0], 0x41, true);
	CHECK_EQ(pending[0].level[1], 2);
	CHECK_EQ(lapic_read(&m, &view[0], LAPIC_TMR + 0x20, 4), 2);
	CHECK_EQ(lapic_read(&m, &view[0], LAPIC_IRR + 0x20, 4), 2);
	pending[0].level[1] = 0;
	page[0].word[(LAPIC_TMR + 0x20) / 4] = 2; /* as the kernel notes it */
	lapic_accept(&view[0], 0x41, false);
	CHECK_EQ(pending[0].vector[1], 2);
	CHECK_EQ(lapic_read(&m, &view[0], LAPIC_TMR + 0x20, 4), 0);
}

TEST(external_interrupts)
{
	start();
	CHECK(!lapic_extint(&view[0]));
	lapic_virtual_wire(&view[0]);
	lapic_virtual_wire(&view[1]);
	CHECK(lapic_extint(&view[0]));
	CHECK(!lapic_extint(&view[1]));
	state[0].todo = 0;
	lapic_lint(&m, &view[0], 0, true);
	CHECK(state[0].todo & LAPIC_TODO_EXTINT);
	CHECK_EQ(pending[0].control, 0);
	lapic_write(&m, &view[0], LAPIC_LVT_LINT0, 4, 0x10700);
	CHECK(!lapic_extint(&view[0]));
	lapic_lint(&m, &view[1], 1, true);
	CHECK_EQ(m.nmis, 1);
	lapic_lint(&m, &view[1], 1, true);
	CHECK_EQ(m.nmis, 1);
}

TEST(lint0_fixed_edge_and_level)
{
	start();
	lapic_write(&m, &view[0], LAPIC_LVT_LINT0, 4, 0x0031);
	lapic_lint(&m, &view[0], 0, true);
	CHECK(pending[0].vector[0] & BIT(0x31));
	pending[0].vector[0] = 0;
	lapic_lint(&m, &view[0], 0, true);
	CHECK_EQ(pending[0].vector[0], 0);
	/* level: requests again after each EOI while it lasts */
	lapic_write(&m, &view[0], LAPIC_LVT_LINT0, 4, 0x8032);
	CHECK(pending[0].level[0] & BIT(0x32));
	CHECK_EQ(lapic_read(&m, &view[0], LAPIC_LVT_LINT0, 4), 0xc032);
	pending[0].level[0] = 0;
	page[0].word[(LAPIC_TMR + 0x10) / 4] = 1u << 0x12;
	page[0].word[(LAPIC_ISR + 0x10) / 4] = 1u << 0x12;
	lapic_write(&m, &view[0], LAPIC_EOI, 4, 0);
	CHECK(pending[0].level[0] & BIT(0x32));
	pending[0].level[0] = 0;
	lapic_lint(&m, &view[0], 0, false);
	page[0].word[(LAPIC_ISR + 0x10) / 4] = 1u << 0x12;
	lapic_write(&m, &view[0], LAPIC_EOI, 4, 0);
	CHECK_EQ(pending[0].level[0], 0);
	CHECK_EQ(lapic_read(&m, &view[0], LAPIC_LVT_LINT0, 4), 0x8032);
}
