/*
 * Interrupts: I/O APICs (82093AA data sheet; ICH9, 13.5), messages, and irq objects. A GSI may be
 * shared: a level one stays masked until each of its objects has acknowledged. A message takes the
 * place of a GSI that no I/O APIC has.
 */
#include "kernel/dev.h"
#include "kernel/iommu.h"
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

#define IOAPIC_SELECT      0
#define IOAPIC_WINDOW      4 /* index of u32: offset 10h */
#define IOAPIC_VERSION     1
#define IOAPIC_REDIRECTION 0x10
#define REDIR_LOW          BIT(13) /* active low */
#define REDIR_LEVEL        BIT(15)
#define REDIR_MASKED       BIT(16)

struct irq {
	struct kobj obj;
	struct slot event;
	struct slot dev; /* of a message */
	u64 bits;
	u32 gsi;
	u32 message;
	bool masked; /* by its holder */
	bool unacked;
	struct list link; /* in gsis[].irqs */
};

static struct {
	volatile u32 *registers;
	u32 count;
} ioapics[BOOT_MAX_IOAPICS];

static struct {
	struct list irqs;
	u32 flags; /* BOOT_IRQ_* */
	u32 cpu;
} gsis[MAX_GSI];

static struct spinlock lock; /* the I/O APICs' index registers, gsis */

static void ioapic_write(u32 i, u32 reg, u32 value)
{
	ioapics[i].registers[IOAPIC_SELECT] = reg;
	ioapics[i].registers[IOAPIC_WINDOW] = value;
}

/* Programs a message anew; false: its function cannot send it. The lock is held. */
static bool program_message(struct irq *irq, bool masked)
{
	struct kobj *dev = __atomic_load_n(&irq->dev.obj, __ATOMIC_ACQUIRE);

	return dev && dev_message(dev, irq->message, cpus[gsis[irq->gsi].cpu]->apic_id,
			      VECTOR_GSI + irq->gsi, masked);
}

/* Programs a GSI's entry anew from gsis[]; the lock is held. */
static void program(u32 gsi)
{
	u64 entry = VECTOR_GSI + gsi;
	u32 way;
	bool masked = list_empty(&gsis[gsi].irqs);

	list_for_each(l, &gsis[gsi].irqs)
	{
		struct irq *irq = container_of(l, struct irq, link);

		masked |= irq->masked || (irq->unacked && (gsis[gsi].flags & BOOT_IRQ_LEVEL));
		if (irq->dev.kind == KIND_DEV) {
			program_message(irq, masked);
			return;
		}
	}
	entry |= gsis[gsi].flags & BOOT_IRQ_ACTIVE_LOW ? REDIR_LOW : 0;
	entry |= gsis[gsi].flags & BOOT_IRQ_LEVEL ? REDIR_LEVEL : 0;
	entry |= masked ? REDIR_MASKED : 0;
	for (u32 i = 0; i < boot->ioapics; i++) {
		u32 pin = gsi - boot->ioapic[i].gsi_base; /* huge: the GSI is below */

		if (pin >= ioapics[i].count)
			continue;
		way = iommu_route(&iommu_ioapics[i], VECTOR_GSI + gsi, cpus[gsis[gsi].cpu]->apic_id,
			gsis[gsi].flags & BOOT_IRQ_LEVEL, !list_empty(&gsis[gsi].irqs));
		ioapic_write(i, IOAPIC_REDIRECTION + 2 * pin + 1, way << 16);
		ioapic_write(i, IOAPIC_REDIRECTION + 2 * pin, (u32)entry);
	}
}

void irq_init(void)
{
	/* The 8259s: masked, and their spurious vectors out of the way of exceptions. */
	static const u8 pic[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, VECTOR_GSI},
		{0xa1, VECTOR_GSI + 8}, {0x21, 4}, {0xa1, 2}, {0x21, 1}, {0xa1, 1}, {0x21, 0xff},
		{0xa1, 0xff}};

	for (u32 i = 0; i < ARRAY_SIZE(pic); i++)
		out8(pic[i][0], pic[i][1]);
	for (u32 gsi = 0; gsi < MAX_GSI; gsi++)
		list_init(&gsis[gsi].irqs);
	for (u32 i = 0; i < boot->ioapics; i++) {
		ioapics[i].registers = device_map(boot->ioapic[i].address, PAGE_SIZE, MEM_CACHE_UC);
		ioapics[i].registers[IOAPIC_SELECT] = IOAPIC_VERSION;
		ioapics[i].count = (ioapics[i].registers[IOAPIC_WINDOW] >> 16 & 0xff) + 1;
		for (u32 pin = 0; pin < ioapics[i].count; pin++)
			ioapic_write(i, IOAPIC_REDIRECTION + 2 * pin, (u32)REDIR_MASKED);
	}
}

/* On the CPU that took it. */
void irq_handle(unsigned vector)
{
	u32 gsi = vector - VECTOR_GSI;

	spin_lock(&lock);
	list_for_each(l, &gsis[gsi].irqs) container_of(l, struct irq, link)->unacked = true;
	if (gsis[gsi].flags & BOOT_IRQ_LEVEL)
		program(gsi);
	lapic_eoi();
	list_for_each(l, &gsis[gsi].irqs)
	{
		struct irq *irq = container_of(l, struct irq, link);

		event_set_slot(&irq->event, irq->bits);
	}
	spin_unlock(&lock);
}

static bool gsi_exists(u32 gsi)
{
	for (u32 i = 0; i < boot->ioapics; i++)
		if (gsi - boot->ioapic[i].gsi_base < ioapics[i].count)
			return gsi < MAX_GSI;
	return false;
}

/* A place for a message, or MAX_GSI if all are taken; the lock is held. */
static u32 message_place(void)
{
	u32 gsi = 0;

	while (gsi < MAX_GSI && (gsi_exists(gsi) || !list_empty(&gsis[gsi].irqs)))
		gsi++;
	return gsi;
}

/* Lets the interrupt come, to that CPU if it is the first of its GSI. */
static status_t connect(struct irq *irq, u32 number, u32 flags, u32 cpu)
{
	bool message = irq->dev.kind == KIND_DEV;
	status_t s = STATUS_OK;

	spin_lock(&lock);
	irq->gsi = message ? message_place() : number;
	irq->message = number;
	if (irq->gsi == MAX_GSI) {
		s = STATUS_NO_SPACE;
	} else if (!list_empty(&gsis[irq->gsi].irqs) && gsis[irq->gsi].flags != flags) {
		s = STATUS_BUSY;
	} else {
		if (list_empty(&gsis[irq->gsi].irqs))
			gsis[irq->gsi].cpu = cpu;
		gsis[irq->gsi].flags = flags;
		if (message && !program_message(irq, false))
			s = STATUS_NOT_SUPPORTED;
		else
			list_add(&gsis[irq->gsi].irqs, &irq->link);
		if (!message)
			program(irq->gsi);
	}
	spin_unlock(&lock);
	return s;
}

status_t irq_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_irq m = *(const struct msg_create_irq *)t->message;
	struct cap source;
	struct cap event;
	struct thread *target;
	struct irq *irq;
	status_t s = cap_lookup(t->domain, m.source, KIND_SYS, RIGHT_CREATE, &source);

	if (s == STATUS_BAD_KIND)
		s = cap_lookup(t->domain, m.source, KIND_DEV, RIGHT_CTL, &source);
	if (s == STATUS_OK)
		s = cap_lookup(t->domain, m.event, KIND_EVENT, 0, &event);
	if (s != STATUS_OK)
		return s;
	if (source.obj ? m.flags
		       : !gsi_exists(m.number) || m.flags & ~(BOOT_IRQ_ACTIVE_LOW | BOOT_IRQ_LEVEL))
		return STATUS_BAD_ARG;
	if (m.bits & ~event.data)
		return STATUS_DENIED;
	target = container_of(event.obj, struct thread, event_obj);
	irq = pool_alloc(&payer->pool, sizeof(*irq));
	if (!irq)
		return STATUS_NO_MEMORY;
	irq->bits = m.bits;
	list_init(&irq->link);
	kobj_init(&irq->obj, KIND_IRQ, payer, sizeof(*irq));
	*out = &irq->obj;
	if (!slot_set(&irq->event, &target->event_obj, KIND_EVENT, 0, m.bits) ||
		(source.obj && !slot_set(&irq->dev, source.obj, KIND_DEV, 0, 0)))
		return STATUS_GONE;
	return connect(irq, m.number, m.flags, target->cpu);
}

void irq_stop(struct kobj *o)
{
	struct irq *irq = container_of(o, struct irq, obj);
	bool connected;

	spin_lock(&lock);
	connected = !list_empty(&irq->link);
	list_remove(&irq->link);
	if (irq->dev.kind == KIND_DEV && connected)
		program_message(irq, true);
	else if (connected)
		program(irq->gsi);
	spin_unlock(&lock);
	slot_clear(&irq->event);
	slot_clear(&irq->dev);
}

status_t sys_irq_ctl(struct thread *t, const struct cap *cap)
{
	struct irq *irq = container_of(cap->obj, struct irq, obj);

	if (arg(t, RSI) > IRQ_CTL_UNMASK)
		return STATUS_BAD_CALL;
	spin_lock(&lock);
	if (arg(t, RSI) == IRQ_CTL_ACK)
		irq->unacked = false;
	else
		irq->masked = arg(t, RSI) == IRQ_CTL_MASK;
	if (arg(t, RSI) != IRQ_CTL_ACK || gsis[irq->gsi].flags & BOOT_IRQ_LEVEL)
		program(irq->gsi);
	spin_unlock(&lock);
	return STATUS_OK;
}
