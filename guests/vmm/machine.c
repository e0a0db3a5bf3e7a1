/* The machine: its devices' power-on state, their wiring, and their time. */
#include "machine.h"
#include "console.h"
#include "lock.h"
#include "smp.h"
#include "journal.h"
#include "vcpu.h"

u64 machine_now(struct machine *m)
{
	return clock_ns(&m->clock, tsc_now() - m->clock.start);
}

u64 machine_wall_clock(struct machine *m)
{
	return (m->clock.wall_clock + machine_now(m)) / NS_PER_SECOND;
}

void machine_end(struct machine *m, enum machine_stop why)
{
	u32 runs = MACHINE_RUNS;

	if (!__atomic_compare_exchange_n(
		    &m->stop, &runs, why, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	m->state->stop = why;
	for (u32 i = 0; i < m->vcpus; i++) {
		if (vcpu_is_own(&m->vcpu[i]))
			m->vcpu[i].pause = true;
		else
			vcpu_post(&m->vcpu[i], MAIL_STOP);
	}
}

void machine_power_off(struct machine *m)
{
	machine_end(m, MACHINE_POWERED_OFF);
}

void machine_reset(struct machine *m)
{
	machine_end(m, MACHINE_RESET);
}

void machine_deadline(struct machine *m)
{
	u64 ns = MACHINE_NEVER;
	cycles_t deadline;

	for (u32 i = 0; i < MACHINE_TIMER_COUNT; i++) {
		if (m->state->timer[i] < ns)
			ns = m->state->timer[i];
	}
	deadline = ns == MACHINE_NEVER ? TIME_NEVER : clock_deadline(&m->clock, ns);
	if (m->console.flush_at < deadline)
		deadline = m->console.flush_at;
	if (m->flood.muted && m->flood.until < deadline)
		deadline = m->flood.until;
	m->deadline = deadline;
	m->rearm = false;
}

void machine_arm(struct machine *m, enum machine_timer timer, u64 ns)
{
	m->state->timer[timer] = ns;
	machine_rearm(m);
}

void machine_rearm(struct machine *m)
{
	m->rearm = true;
	vcpu_post(&m->vcpu[0], MAIL_REARM);
}

void machine_timers(struct machine *m)
{
	struct machine_state *s = m->state;
	u64 now = machine_now(m);

	for (u32 i = 0; i < MACHINE_TIMER_COUNT; i++) {
		if (s->timer[i] > now)
			continue;
		s->timer[i] = MACHINE_NEVER;
		switch (i) {
		case MACHINE_TIMER_PIT:
			pit_timer(m, &s->pit);
			break;
		case MACHINE_TIMER_RTC:
			rtc_timer(m, &s->rtc);
			break;
		case MACHINE_TIMER_PM:
			pm_timer(m, &s->pm);
			break;
		case MACHINE_TIMER_SERIAL:
			uart_timer(m, &s->uart);
			break;
		case MACHINE_TIMER_VIRTIO:
			machine_virtio_timer(m);
			break;
		default: /* the LAPIC's is in the run page */
			break;
		}
	}
	if (m->console.flush_at <= tsc_now())
		console_flush(m);
	machine_rearm(m);
}

/* Leaves out of wake_mask the bits of peers that set them too often, for a moment. */
static void limit_events(struct vcpu *v, u64 bits)
{
	struct machine *m = v->machine;
	cycles_t now = tsc_now();
	u64 before = m->flood.muted;
	u64 muted;

	flood_muted(&m->flood, now);
	muted = flood_look(&m->flood, bits, now, host_flooded);
	if (likely(muted == before))
		return;
	v->wake_mask = (v->wake_mask | before) & ~muted;
	machine_rearm(m);
}

void machine_events(struct vcpu *v, u64 bits, bool timeout)
{
	struct machine *m = v->machine;

	machine_lock(v);
	limit_events(v, bits);
	if (timeout)
		machine_timers(m);
	if (bits & m->console.own_bit)
		console_event(m);
	if (bits) {
		machine_virtio_event(m, bits);
		machine_pass_event(m, bits);
	}
	if (bits & BIT(ROOT_BIT_REPORT)) {
		for (u32 i = 0; i < m->vcpus; i++)
			vcpu_post(&m->vcpu[i], MAIL_REPORT);
	}
}

/* Port handlers: a model's functions on its state in this machine. */
#define PORT_HANDLERS(name, function, member)                                                      \
	static u32 port_##name##_read(struct machine *m, u16 port, unsigned size)                  \
	{                                                                                          \
		return function##_read(m, &m->state->member, port, size);                          \
	}                                                                                          \
	static void port_##name##_write(struct machine *m, u16 port, unsigned size, u32 value)     \
	{                                                                                          \
		function##_write(m, &m->state->member, port, size, value);                         \
	}

PORT_HANDLERS(pit, pit, pit)
PORT_HANDLERS(rtc, rtc, rtc)
PORT_HANDLERS(i8042, i8042, i8042)
PORT_HANDLERS(apm, pm_apm, pm)
PORT_HANDLERS(pci, pci, pci)

static u32 port_pic_read(struct machine *m, u16 port, unsigned size)
{
	return pic_read(m, &m->state->pic, port, size);
}

static void port_pic_write(struct machine *m, u16 port, unsigned size, u32 value)
{
	pic_write(m, &m->state->pic, port, size, value);
	if ((port == PIC_MASTER_COMMAND || port == PIC_SLAVE_COMMAND) && pic_is_eoi((u8)value))
		machine_level_end(m);
}

static u32 port_uart_read(struct machine *m, u16 port, unsigned size)
{
	u32 value = uart_read(m, &m->state->uart, port, size);

	console_pull(m); /* there may be room now */
	return value;
}

static void port_uart_write(struct machine *m, u16 port, unsigned size, u32 value)
{
	uart_write(m, &m->state->uart, port, size, value);
}

static u32 port_pm_read(struct machine *m, u16 port, unsigned size)
{
	return pm_read(m, &m->state->pm, port - m->pm_base, size);
}

static void port_pm_write(struct machine *m, u16 port, unsigned size, u32 value)
{
	pm_write(m, &m->state->pm, port - m->pm_base, size, value);
}

void machine_pm_bind(struct machine *m)
{
	u16 base = pci_pm_base(&m->state->pci);

	if (m->pm_base)
		port_remove(&m->ports, m->pm_base);
	m->pm_base = base;
	if (!base)
		return;
	if (!port_add(&m->ports,
		    &(struct port_range){base, PM_BLOCK_SIZE, port_pm_read, port_pm_write})) {
		m->pm_base = 0;
		log_line("the guest put its PM block over other ports, at %x", base);
	}
}

static bool serial_bind(struct machine *m, u16 base)
{
	return port_add(
		&m->ports, &(struct port_range){base, UART_PORTS, port_uart_read, port_uart_write});
}

bool machine_add_serial(struct machine *m, u16 base, u8 line)
{
	if (m->state->serial || !serial_bind(m, base))
		return false;
	uart_init(&m->state->uart, base, line);
	m->state->serial = base;
	return true;
}

static void ports_init(struct machine *m)
{
	static const struct port_range fixed[] = {
		{PIC_MASTER_COMMAND, 2, port_pic_read, port_pic_write},
		{PIC_SLAVE_COMMAND, 2, port_pic_read, port_pic_write},
		{PIC_ELCR_MASTER, 2, port_pic_read, port_pic_write},
		{PIT_CHANNEL0, 4, port_pit_read, port_pit_write},
		{PIT_NMI_STATUS, 1, port_pit_read, port_pit_write},
		{I8042_DATA, 1, port_i8042_read, port_i8042_write},
		{I8042_STATUS, 1, port_i8042_read, port_i8042_write},
		{I8042_PORT92, 1, port_i8042_read, port_i8042_write},
		{RTC_INDEX, 2, port_rtc_read, port_rtc_write},
		{PM_APM_CONTROL, 2, port_apm_read, port_apm_write},
		{PCI_ADDRESS, 8, port_pci_read, port_pci_write},
	};

	memset(&m->ports, 0, sizeof(m->ports));
	for (u32 i = 0; i < ARRAY_SIZE(fixed); i++)
		check(port_add(&m->ports, &fixed[i]));
}

/* RAM from 0 and from 4 GiB, as the CMOS tells it to firmware. */
static struct rtc_memory rtc_memory(const struct machine *m)
{
	struct rtc_memory memory = {.cpus = m->vcpus};

	for (u32 i = 0; i < m->memory.ranges; i++) {
		const struct gmem_range *r = &m->memory.range[i];

		if (r->base == 0)
			memory.below_4g = r->size;
		if (r->base == 1ull << 32)
			memory.above_4g = r->size;
	}
	return memory;
}

/* What a process knows of a vCPU whose state is there, or will be. */
static void vcpu_attach(struct machine *m, u32 index)
{
	struct vcpu *v = &m->vcpu[index];

	v->machine = m;
	v->index = index;
	v->cpuid = &m->cpuid;
	v->state = &m->state->vcpu[index];
	v->post = &m->state->post[index];
	v->lapic = &m->lapic[index];
	v->lapic->state = &m->state->lapic[index];
	v->lapic->pending = &v->run->pending;
	v->deadline = TIME_NEVER;
	v->wake_mask = BIT(VCPU_BIT_MAIL);
	if (index == 0)
		v->self = thread_self();
}

static void vcpu_init(struct machine *m, u32 index)
{
	struct vcpu *v = &m->vcpu[index];
	const struct lapic_features features = {
		.address_bits = (u8)m->cpuid.physical_bits,
		.bsp = index == 0,
		.x2apic = true,
		.tsc_deadline = true,
	};

	vcpu_attach(m, index);
	vcpu_reset(v);
	v->state->wait_startup = index != 0;
	v->pause = index != 0;
	vcpu_set_tsc_offset(v, -m->clock.start);
	lapic_init(v->lapic, index, features);
}

void machine_init(struct machine *m)
{
	struct machine_state *s = m->state;
	const struct rtc_memory memory = rtc_memory(m);

	memset(s, 0, sizeof(*s));
	s->header = device_header(MACHINE_MAGIC, MACHINE_VERSION, sizeof(*s));
	s->start_tsc = m->clock.start;
	for (u32 i = 0; i < MACHINE_TIMER_COUNT; i++)
		s->timer[i] = MACHINE_NEVER;
	m->stop = MACHINE_RUNS;
	m->rearm = true; /* the first vCPU's mail says so below */
	m->console.flush_at = TIME_NEVER;
	for (u32 i = 0; i < m->vcpus; i++)
		vcpu_init(m, i);
	m->vcpu[0].post->mail = MAIL_REARM;
	ioapic_init(&s->ioapic);
	pic_init(&s->pic);
	pit_init(&s->pit);
	rtc_init(&s->rtc, &memory);
	pm_init(&s->pm);
	i8042_init(&s->i8042);
	pci_init(&s->pci);
	ports_init(m);
	m->pm_base = 0;
}

void machine_journal(struct machine *m, u32 index, struct journal *j, struct journal_log *log)
{
	vcpu_attach(m, index);
	journal_open(&m->vcpu[index], j, log);
}

static bool vcpu_resume(struct machine *m, u32 index)
{
	struct vcpu *v = &m->vcpu[index];

	if (!journal_recover(v, &v->again)) {
		log_line("vcpu %u: its VMM died over an exit that changed too much to be undone",
			index);
		return false;
	}
	/* what the dead thread had taken, and the timer */
	__atomic_fetch_or(&v->post->mail, (u32)v->post->taken, __ATOMIC_SEQ_CST);
	v->post->taken = 0;
	v->lapic->state->todo |= LAPIC_TODO_TIMER | LAPIC_TODO_DELIVER;
	v->pause = m->state->stop || v->state->wait_startup;
	return true;
}

bool machine_resume(struct machine *m)
{
	struct machine_state *s = m->state;

	if (!device_header_is(&s->header, MACHINE_MAGIC, MACHINE_VERSION, sizeof(*s))) {
		log_line("the machine's state is of another version: it cannot be taken over");
		return false;
	}
	for (u32 i = 0; i < m->vcpus; i++) {
		if (!vcpu_resume(m, i))
			return false;
	}
	m->resumed = true;
	m->stop = (u32)s->stop;
	m->console.flush_at = TIME_NEVER;
	machine_rearm(m);
	ports_init(m);
	if (s->serial)
		check(serial_bind(m, (u16)s->serial));
	m->pm_base = 0;
	machine_pm_bind(m);
	return true;
}

void pci_bar_changed(
	struct machine *m, struct pci *s, u8 devfn, unsigned number, u64 old, bool was_mapped)
{
	(void)s;
	(void)old;
	(void)was_mapped;
	machine_virtio_bar(m, devfn, number);
	machine_pass_bar(m, devfn, number);
}

void pci_written(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size)
{
	(void)s;
	if (devfn == PCI_DEVFN_PM)
		machine_pm_bind(m);
	machine_virtio_written(m, devfn, offset, size);
	machine_pass_written(m, devfn, offset, size);
}

void pci_reading(struct machine *m, struct pci *s, u8 devfn, u32 offset, unsigned size)
{
	(void)s;
	machine_virtio_reading(m, devfn, offset, size);
}
