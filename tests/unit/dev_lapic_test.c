/* The local APIC's registers, by page and by MSR. */
#include "guests/vmm/dev/lapic.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct lapic state;
static struct lapic_page page;
static struct run_pending pending;
static struct lapic_view lapic = {&state, &page, &pending};

static const struct lapic_features features = {
	.address_bits = 40, .bsp = true, .x2apic = true, .tsc_deadline = true};

static void start(u32 id)
{
	fake_init(&m);
	memset(&page, 0xff, sizeof(page));
	memset(&pending, 0xff, sizeof(pending));
	lapic_init(&lapic, id, features);
	pending.control = 0;
}

static void out(u32 offset, u32 value)
{
	lapic_write(&m, &lapic, offset, 4, value);
}

static u32 in(u32 offset)
{
	return lapic_read(&m, &lapic, offset, 4);
}

static bool wrmsr(u32 msr, u64 value)
{
	return lapic_wrmsr(&m, &lapic, msr, 0, value);
}

static u64 rdmsr(u32 msr)
{
	u64 value;

	CHECK(lapic_rdmsr(&m, &lapic, msr, 0, &value));
	return value;
}

static bool rdmsr_faults(u32 msr)
{
	u64 value;

	return !lapic_rdmsr(&m, &lapic, msr, 0, &value) && value == 0;
}

static u32 msr_of(u32 offset)
{
	return LAPIC_MSR_BASE + offset / 16;
}

/* What the kernel does when it delivers: the vector goes from the pending word to ISR. */
static void deliver(u8 vector)
{
	u64 bit = BIT(vector % 64);
	u32 *tmr = &page.word[(LAPIC_TMR + vector / 32 * 16) / 4];
	bool level = pending.level[vector / 64] & bit;

	CHECK((pending.vector[vector / 64] | pending.level[vector / 64]) & bit);
	pending.vector[vector / 64] &= ~bit;
	pending.level[vector / 64] &= ~bit;
	pending.control = 0;
	*tmr = (*tmr & ~(1u << vector % 32)) | (u32)level << vector % 32;
	page.word[(LAPIC_ISR + vector / 32 * 16) / 4] |= 1u << vector % 32;
}

static void start_x2apic(u32 id)
{
	start(id);
	CHECK(wrmsr(LAPIC_MSR_APIC_BASE, 0xfee00d00));
}

TEST(state_after_power_on)
{
	start(3);
	CHECK_EQ(rdmsr(LAPIC_MSR_APIC_BASE), 0xfee00900);
	CHECK(lapic_in_page_mode(&lapic));
	CHECK_EQ(in(LAPIC_ID), 0x03000000);
	CHECK_EQ(in(LAPIC_VERSION_REG), 0x01050014);
	CHECK_EQ(in(LAPIC_SVR), 0xff);
	CHECK_EQ(in(LAPIC_DFR), 0xffffffff);
	CHECK_EQ(in(LAPIC_LDR), 0);
	for (u32 lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16)
		CHECK_EQ(in(lvt), 0x10000);
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 0);
	for (u32 i = 0; i < 8; i++)
		CHECK_EQ(in(LAPIC_ISR + i * 16) | in(LAPIC_TMR + i * 16) | in(LAPIC_IRR + i * 16),
			0);
	CHECK(device_header_is(&state.header, LAPIC_MAGIC, LAPIC_VERSION, sizeof(state)));
}

TEST(widths_and_alignment)
{
	start(0);
	out(LAPIC_TPR, 0x20);
	lapic_write(&m, &lapic, LAPIC_TPR, 1, 0x30);
	lapic_write(&m, &lapic, LAPIC_TPR + 4, 4, 0x30);
	CHECK_EQ(in(LAPIC_TPR), 0x20);
	CHECK_EQ(lapic_read(&m, &lapic, LAPIC_VERSION_REG, 1), 0x14);
	CHECK_EQ(lapic_read(&m, &lapic, LAPIC_VERSION_REG + 2, 2), 0x0105);
	CHECK_EQ(lapic_read(&m, &lapic, LAPIC_VERSION_REG + 3, 2), 0);
	CHECK_EQ(lapic_read(&m, &lapic, LAPIC_VERSION_REG + 4, 4), 0);
	CHECK_EQ(lapic_read(&m, &lapic, 0xffffffff, 4), 0);
	lapic_write(&m, &lapic, 0xfffffff0, 4, 1);
}

TEST(end_of_interrupt)
{
	start(0);
	out(LAPIC_SVR, 0x1ff);
	CHECK(lapic_accept(&lapic, 0x31, false));
	CHECK(!lapic_accept(&lapic, 0x82, true)); /* the notification bit is set already */
	CHECK_EQ(in(LAPIC_IRR + 0x10), 1u << 0x11);
	CHECK_EQ(in(LAPIC_IRR + 0x40), 1u << 2);
	CHECK_EQ(in(LAPIC_TMR + 0x40), 1u << 2);
	deliver(0x31);
	deliver(0x82);
	CHECK_EQ(in(LAPIC_PPR), 0x80);
	state.todo = 0;
	out(LAPIC_EOI, 0);
	CHECK_EQ(in(LAPIC_ISR + 0x40), 0);
	CHECK_EQ(in(LAPIC_PPR), 0x30);
	CHECK_EQ(state.todo, LAPIC_TODO_DELIVER);
	CHECK_EQ(m.eois, 1);
	CHECK_EQ(m.eoi_vector, 0x82);
	out(LAPIC_EOI, 0);
	CHECK_EQ(in(LAPIC_PPR), 0);
	CHECK_EQ(m.eois, 1); /* it was an edge */
	out(LAPIC_EOI, 0);   /* nothing in service */
	CHECK_EQ(m.eois, 1);
	lapic_accept(&lapic, 0x82, false); /* as an edge now */
	CHECK_EQ(in(LAPIC_TMR + 0x40), 0);
}

TEST(eoi_broadcast_can_be_suppressed)
{
	start(0);
	out(LAPIC_SVR, 0x11ff);
	lapic_accept(&lapic, 0x82, true);
	deliver(0x82);
	out(LAPIC_EOI, 0);
	CHECK_EQ(m.eois, 0);
	out(LAPIC_SVR, 0x1ff);
	lapic_eoi_vector(&m, &lapic, 0x82); /* hardware did the rest */
	CHECK_EQ(m.eois, 1);
}

TEST(priorities)
{
	start(0);
	out(LAPIC_SVR, 0x1ff);
	out(LAPIC_TPR, 0x12345);
	CHECK_EQ(in(LAPIC_TPR), 0x45);
	CHECK_EQ(in(LAPIC_PPR), 0x45);
	CHECK_EQ(in(LAPIC_APR), 0x45);
	lapic_accept(&lapic, 0x93, false);
	CHECK_EQ(in(LAPIC_APR), 0x90);
	deliver(0x93);
	CHECK_EQ(in(LAPIC_PPR), 0x90);
	out(LAPIC_PPR, 0);
	CHECK_EQ(in(LAPIC_PPR), 0x90);
}

TEST(software_disabled)
{
	start(0);
	CHECK(!lapic_accept(&lapic, 0x40, false));
	CHECK_EQ(pending.vector[1], 0);
	out(LAPIC_LVT_ERROR, 0xfe);
	CHECK_EQ(in(LAPIC_LVT_ERROR), 0x100fe); /* the mask cannot be cleared */
	out(LAPIC_SVR, 0xffffffff);
	CHECK_EQ(in(LAPIC_SVR), 0x13ff);
	out(LAPIC_LVT_ERROR, 0xfe);
	CHECK_EQ(in(LAPIC_LVT_ERROR), 0xfe);
	CHECK(lapic_accept(&lapic, 0x40, false));
	CHECK(!lapic_accept(&lapic, 15, false));
	out(LAPIC_SVR, 0xff);
	CHECK_EQ(in(LAPIC_LVT_ERROR), 0x100fe);
	CHECK_EQ(in(LAPIC_IRR + 0x20), 1); /* what was requested stays */
}

TEST(reserved_bits_of_entries)
{
	static const struct {
		u32 offset;
		u32 writable;
	} entries[] = {
		{LAPIC_LVT_TIMER, 0x000700ff},
		{LAPIC_LVT_THERMAL, 0x000107ff},
		{LAPIC_LVT_PERF, 0x000107ff},
		{LAPIC_LVT_LINT0, 0x0001a7ff},
		{LAPIC_LVT_LINT1, 0x0001a7ff},
		{LAPIC_LVT_ERROR, 0x000100ff},
	};

	start(0);
	out(LAPIC_SVR, 0x1ff);
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		out(entries[i].offset, 0xffffffff);
		CHECK_EQ(in(entries[i].offset), entries[i].writable);
	}
	out(LAPIC_LDR, 0xffffffff);
	CHECK_EQ(in(LAPIC_LDR), 0xff000000);
	out(LAPIC_DFR, 0x00000000);
	CHECK_EQ(in(LAPIC_DFR), 0x0fffffff);
	out(LAPIC_ID, 0x55000000);
	CHECK_EQ(in(LAPIC_ID), 0);
	out(LAPIC_TIMER_DIVIDE, 0xffffffff);
	CHECK_EQ(in(LAPIC_TIMER_DIVIDE), 0x0b);
}

TEST(errors)
{
	start(0);
	out(LAPIC_SVR, 0x1ff);
	out(LAPIC_LVT_ERROR, 0xfe);
	CHECK_EQ(in(LAPIC_ESR), 0);
	out(LAPIC_ICR, 0x4000 | 5); /* illegal vector */
	CHECK_EQ(m.sent, 0);
	CHECK_EQ(in(LAPIC_ESR), 0); /* until it is written */
	CHECK(pending.vector[3] & BIT(0xfe - 192));
	out(LAPIC_ESR, 0);
	CHECK_EQ(in(LAPIC_ESR), LAPIC_ESR_SEND_ILLEGAL);
	in(LAPIC_CMCI);   /* not there */
	out(0x3f0, 0x31); /* SELF IPI is for x2APIC mode */
	out(LAPIC_ESR, 0);
	CHECK_EQ(in(LAPIC_ESR), LAPIC_ESR_ILLEGAL_REGISTER);
	out(LAPIC_ESR, 0);
	CHECK_EQ(in(LAPIC_ESR), 0);
}

TEST(interprocessor_interrupts)
{
	start(0);
	out(LAPIC_SVR, 0x1ff);
	out(LAPIC_ICR_HIGH, 0x02ffffff);
	CHECK_EQ(in(LAPIC_ICR_HIGH), 0x02000000);
	out(LAPIC_ICR, 0x000040fd);
	CHECK_EQ(m.sent, 1);
	CHECK_EQ(m.ipi.destination, 2);
	CHECK_EQ(m.ipi.vector, 0xfd);
	CHECK_EQ(m.ipi.delivery, LAPIC_FIXED);
	CHECK(!m.ipi.logical && !m.ipi.level && m.ipi.assert);
	CHECK_EQ(in(LAPIC_ICR), 0x40fd); /* delivery status is idle */
	out(LAPIC_ICR, 0x00004500);      /* INIT */
	CHECK_EQ(m.ipi.delivery, LAPIC_INIT);
	CHECK(m.ipi.assert);
	out(LAPIC_ICR, 0x00008500); /* INIT level de-assert */
	CHECK(!m.ipi.assert);
	out(LAPIC_ICR, 0x00004608);
	CHECK_EQ(m.ipi.delivery, LAPIC_STARTUP);
	CHECK_EQ(m.ipi.vector, 8);
	out(LAPIC_ICR_HIGH, 0xff000000);
	out(LAPIC_ICR, 0x000c4400); /* NMI to all others */
	CHECK_EQ(m.ipi.shorthand, LAPIC_TO_OTHERS);
	CHECK_EQ(m.ipi.destination, LAPIC_BROADCAST);
	CHECK_EQ(m.sent, 5);
	out(LAPIC_ICR, 0x00044031); /* to itself */
	CHECK_EQ(m.sent, 5);
	CHECK(pending.vector[0] & BIT(0x31));
	CHECK_EQ(m.vectors, 1);
	out(LAPIC_ICR, 0x00044500); /* INIT to itself is not valid */
	CHECK_EQ(m.inits, 0);
	out(LAPIC_ICR, 0x00044400);
	CHECK_EQ(m.nmis, 1);
}

TEST(modes_of_operation)
{
	static const u64 base = 0xfee00100;

	start(0);
	CHECK(!wrmsr(LAPIC_MSR_APIC_BASE, base | 0x400)); /* x2APIC without enable */
	CHECK(wrmsr(LAPIC_MSR_APIC_BASE, base | 0xc00));
	CHECK(!lapic_in_page_mode(&lapic));
	CHECK(!wrmsr(LAPIC_MSR_APIC_BASE, base | 0x800)); /* no way back to xAPIC */
	CHECK(wrmsr(LAPIC_MSR_APIC_BASE, base));
	CHECK(!wrmsr(LAPIC_MSR_APIC_BASE, base | 0xc00)); /* not from disabled */
	CHECK(wrmsr(LAPIC_MSR_APIC_BASE, base | 0x800));
	CHECK(lapic_in_page_mode(&lapic));
	CHECK_EQ(in(LAPIC_SVR), 0xff);
	CHECK(!wrmsr(LAPIC_MSR_APIC_BASE, base | 0x801));
	CHECK(!wrmsr(LAPIC_MSR_APIC_BASE, base | 0xa00));
	CHECK(!wrmsr(LAPIC_MSR_APIC_BASE, base | 0x800 | 1ull << 40));
	CHECK(wrmsr(LAPIC_MSR_APIC_BASE, base | 0x800 | 1ull << 39));
	CHECK_EQ(rdmsr(LAPIC_MSR_APIC_BASE), base | 0x800 | 1ull << 39);
	CHECK(state.todo & LAPIC_TODO_BASE);
	state.has_x2apic = 0;
	CHECK(!wrmsr(LAPIC_MSR_APIC_BASE, base | 0xc00));
}

TEST(disabling_forgets)
{
	start(0);
	out(LAPIC_SVR, 0x1ff);
	lapic_accept(&lapic, 0x55, false);
	out(LAPIC_LVT_TIMER, 0x20055);
	out(LAPIC_TIMER_INITIAL, 1000000);
	CHECK(wrmsr(LAPIC_MSR_APIC_BASE, 0xfee00100));
	CHECK_EQ(pending.vector[1], 0);
	CHECK(!lapic_accept(&lapic, 0x55, false));
	CHECK(!lapic_matches(&lapic, 0, false));
	CHECK_EQ(lapic_timer_next(&m, &lapic, 0).clock, LAPIC_TIMER_OFF);
	CHECK(lapic_extint(&lapic)); /* the pin INTR */
}

TEST(x2apic_registers)
{
	start_x2apic(0x123);
	CHECK_EQ(rdmsr(msr_of(LAPIC_ID)), 0x123);
	CHECK_EQ(rdmsr(msr_of(LAPIC_LDR)), 0x12u << 16 | 1u << 3);
	CHECK_EQ(rdmsr(msr_of(LAPIC_VERSION_REG)), 0x01050014);
	CHECK(wrmsr(msr_of(LAPIC_SVR), 0x1ff));
	CHECK(wrmsr(msr_of(LAPIC_TPR), 0x20));
	CHECK_EQ(rdmsr(msr_of(LAPIC_PPR)), 0x20);
	CHECK(wrmsr(msr_of(LAPIC_SELF_IPI), 0x31));
	CHECK(pending.vector[0] & BIT(0x31));
	CHECK_EQ(rdmsr(msr_of(LAPIC_IRR + 0x10)), 1u << 0x11);
	deliver(0x31);
	CHECK(wrmsr(msr_of(LAPIC_EOI), 0));
	CHECK_EQ(rdmsr(msr_of(LAPIC_ISR + 0x10)), 0);
	CHECK(wrmsr(msr_of(LAPIC_ICR), 0x1234567800004031ull));
	CHECK_EQ(m.ipi.destination, 0x12345678);
	CHECK_EQ(rdmsr(msr_of(LAPIC_ICR)), 0x1234567800004031ull);
	CHECK(wrmsr(msr_of(LAPIC_ICR), 0xff00004031ull)); /* 0xff is no broadcast */
	CHECK_EQ(m.ipi.destination, 0xff);
	CHECK(wrmsr(msr_of(LAPIC_ESR), 0));
	CHECK(wrmsr(msr_of(LAPIC_LVT_LINT0), 0x700));
	CHECK(lapic_extint(&lapic));
}

TEST(x2apic_faults)
{
	static const u32 unreadable[] = {LAPIC_EOI, LAPIC_SELF_IPI, LAPIC_ICR_HIGH, LAPIC_DFR,
		LAPIC_APR, LAPIC_RRD, LAPIC_CMCI, 0x000, 0x010, 0x3a0, 0x3f0, 0xff0};
	static const u32 unwritable[] = {LAPIC_ID, LAPIC_VERSION_REG, LAPIC_PPR, LAPIC_LDR,
		LAPIC_ISR, LAPIC_TMR, LAPIC_IRR + 0x70, LAPIC_TIMER_CURRENT, LAPIC_ICR_HIGH,
		LAPIC_DFR, LAPIC_CMCI, 0x000, 0x400, 0xff0};
	static const struct {
		u32 offset;
		u64 value;
	} reserved[] = {
		{LAPIC_TPR, 0x100},
		{LAPIC_TPR, 1ull << 32},
		{LAPIC_EOI, 1},
		{LAPIC_ESR, 1},
		{LAPIC_SVR, 0x400},
		{LAPIC_LVT_TIMER, 0x80000},
		{LAPIC_LVT_ERROR, 0x700},
		{LAPIC_LVT_LINT0, 0x800},
		{LAPIC_TIMER_INITIAL, 1ull << 32},
		{LAPIC_TIMER_DIVIDE, 0x4},
		{LAPIC_ICR, 0x2000},
		{LAPIC_ICR, 0x100000},
		{LAPIC_SELF_IPI, 0x100},
	};

	start(0);
	CHECK(rdmsr_faults(msr_of(LAPIC_ID))); /* in xAPIC mode there are no MSRs */
	CHECK(!wrmsr(msr_of(LAPIC_TPR), 0));
	start_x2apic(0);
	for (unsigned i = 0; i < ARRAY_SIZE(unreadable); i++)
		CHECK(rdmsr_faults(msr_of(unreadable[i])));
	for (unsigned i = 0; i < ARRAY_SIZE(unwritable); i++)
		CHECK(!wrmsr(msr_of(unwritable[i]), 0));
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
		CHECK(!wrmsr(msr_of(reserved[i].offset), reserved[i].value));
	CHECK(rdmsr_faults(LAPIC_MSR_END));
	CHECK(rdmsr_faults(0));
	CHECK(!wrmsr(0xffffffff, 0));
	CHECK_EQ(m.sent, 0);
	CHECK_EQ(pending.control, 0);
}

TEST(init_and_reset)
{
	start_x2apic(5);
	CHECK(wrmsr(msr_of(LAPIC_SVR), 0x1ff));
	lapic_accept(&lapic, 0x77, true);
	lapic_init_signal(&m, &lapic);
	CHECK_EQ(rdmsr(LAPIC_MSR_APIC_BASE), 0xfee00d00);
	CHECK_EQ(rdmsr(msr_of(LAPIC_ID)), 5);
	CHECK_EQ(rdmsr(msr_of(LAPIC_SVR)), 0xff);
	CHECK_EQ(pending.vector[1], 0);
	lapic_reset(&m, &lapic);
	CHECK_EQ(rdmsr(LAPIC_MSR_APIC_BASE), 0xfee00900);
	CHECK_EQ(in(LAPIC_ID), 0x05000000);
	CHECK_EQ(in(LAPIC_LDR), 0);
}

TEST(hammer)
{
	u64 seed = 11;

	start(0);
	for (unsigned i = 0; i < 300000; i++) {
		u64 r = fake_random(&seed);
		u32 offset = r & 1 ? (u32)(r >> 8 & 0xff0) : (u32)(r >> 8 & 0xfff);
		u64 wide = fake_random(&seed);
		u32 msr = LAPIC_MSR_BASE + offset / 16;
		u64 value;

		m.now += wide >> 34;
		switch (r >> 1 & 7) {
		case 0:
		case 1:
			lapic_write(&m, &lapic, offset, r & 1 ? 4 : fake_random_size(&seed),
				(u32)(r >> 32));
			break;
		case 2:
			lapic_read(&m, &lapic, offset, fake_random_size(&seed));
			break;
		case 3:
			lapic_wrmsr(&m, &lapic, msr, wide, r & 16 ? wide : r >> 32 & 0x713ff);
			break;
		case 4:
			lapic_rdmsr(&m, &lapic, msr, wide, &value);
			break;
		case 5:
			if (r >> 32 & 7)
				lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, wide, wide);
			else
				lapic_wrmsr(&m, &lapic, LAPIC_MSR_APIC_BASE, 0,
					0xfee00100 | (r >> 40 & 0xc00));
			break;
		case 6:
			lapic_lint(&m, &lapic, (unsigned)(r >> 32), r >> 40 & 1);
			if (r & 32)
				lapic_timer_fired(&m, &lapic);
			break;
		default:
			lapic_accept(&lapic, (u8)(r >> 32), r >> 40 & 1);
		}
		if (state.todo & LAPIC_TODO_TIMER) {
			struct lapic_timer timer = lapic_timer_next(&m, &lapic, wide);

			if (timer.clock != LAPIC_TIMER_OFF && timer.vector < 16) {
				CHECK(!"timer vectors are legal");
				break;
			}
		}
		if (pending.vector[0] & 0xffff) {
			CHECK(!"requested vectors are legal");
			break;
		}
	}
}
