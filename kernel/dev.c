/*
 * dev objects: PCI functions given to drivers; configuration accesses for those who may make them;
 * MSI and MSI-X.
 */
#include "kernel/dev.h"
#include "kernel/kernel.h"
#include "kernel/mem.h"
#include "kernel/pci.h"

#define INTX_DISABLE    BIT(10) /* command register */
#define MSIX_ENABLE     BIT(15)
#define MSIX_MASKED     BIT(14)
#define EXPRESS_CAN_FLR BIT(28)
#define EXPRESS_FLR     BIT(15)
#define AF_CAN_FLR      BIT(1)
#define POWER_D3        3u
#define POWER_NO_RESET  BIT(3) /* going to D0 does not reset it */

static struct list devs = {&devs, &devs};
static struct spinlock lock; /* devs, and changes of configurations */

/* The lock is held. */
static void change(u32 function, u32 offset, u32 size, u32 clear, u32 set)
{
	pci_write(function, offset, size, (pci_read(function, offset, size) & ~clear) | set);
}

/* Neither DMA nor interrupts come from it any more. The lock is held. */
static void quiesce(struct dev *d)
{
	u32 function = d->function;
	u32 msi = pci_capability(function, PCI_CAP_MSI);
	u32 msix = pci_capability(function, PCI_CAP_MSIX);

	change(function, PCI_COMMAND, 2, PCI_COMMAND_MASTER, 0);
	if (msi)
		change(function, msi + 2, 2, MSI_ENABLE, 0);
	if (msix)
		change(function, msix + 2, 2, MSIX_ENABLE, 0);
	iommu_attach(&d->iommu, false);
}

/* Makes `d` the dev of its function, if there is none, nor one that an IOMMU could not tell from
 * it, with a tag that no other has. The lock is held. */
static status_t add(struct dev *d)
{
	u64 used[IOMMU_DOMAINS / 64] = {1};
	u32 tag = 0;

	list_for_each(l, &devs)
	{
		struct dev *other = container_of(l, struct dev, link);

		if (other->function == d->function || other->iommu.requester == d->iommu.requester)
			return STATUS_BUSY;
		used[other->iommu.domain / 64] |= BIT(other->iommu.domain % 64);
	}
	while (tag < IOMMU_DOMAINS && used[tag / 64] & BIT(tag % 64))
		tag++;
	if (tag == IOMMU_DOMAINS)
		return STATUS_NO_SPACE;
	d->iommu.domain = tag;
	list_add(&devs, &d->link);
	quiesce(d);
	return STATUS_OK;
}

status_t dev_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_dev m = *(const struct msg_create_dev *)t->message;
	struct dev *d;
	struct cap sys;
	status_t s = cap_lookup(t->domain, m.sys, KIND_SYS, RIGHT_CREATE, &sys);

	if (s != STATUS_OK)
		return s;
	if (pci_read(m.function, PCI_VENDOR, 2) == 0xffff)
		return STATUS_NOT_FOUND;
	if (pci_read(m.function, PCI_HEADER, 1) & 0x7f ||
		pci_read(m.function, PCI_CLASS, 2) == PCI_CLASS_IOMMU)
		return STATUS_BAD_ARG;
	d = pool_alloc(&payer->pool, sizeof(*d));
	if (!d)
		return STATUS_NO_MEMORY;
	d->function = m.function;
	d->iommu.requester = m.requester;
	list_init(&d->link);
	list_init(&d->space.attaches);
	d->space.ptable.pool = &payer->pool;
	d->space.source = &d->iommu;
	kobj_init(&d->obj, KIND_DEV, payer, sizeof(*d));
	*out = &d->obj;
	spin_lock(&lock);
	s = add(d);
	if (s == STATUS_OK)
		s = iommu_open(&d->iommu, &d->space.ptable, &payer->pool);
	spin_unlock(&lock);
	return s;
}

void dev_stop(struct kobj *o)
{
	struct dev *d = container_of(o, struct dev, obj);

	/* Once: after that the function may have another dev, which has the unit's entries. */
	spin_lock(&lock);
	if (!list_empty(&d->link)) {
		quiesce(d);
		iommu_close(&d->iommu);
	}
	list_remove(&d->link);
	spin_unlock(&lock);
	attach_remove_all(&d->space);
}

void dev_lost(struct space *s)
{
	struct dev *d = container_of(s, struct dev, space);

	spin_lock(&lock);
	if (!d->iommu.unit)
		quiesce(d);
	spin_unlock(&lock);
}

/* Writes an entry of the MSI-X table (PCI Local Bus Specification 3.0, 6.8.2). */
static bool write_msix(u32 function, u32 at, u32 index, const u32 entry[4])
{
	u32 control = pci_read(function, at + 2, 2);
	u32 table = pci_read(function, at + 4, 4);
	u32 bar = PCI_BAR + (table & 7) * 4;
	u64 address;

	if (index > (control & 0x7ff) || (table & 7) > 5 ||
		!(pci_read(function, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return false;
	address = pci_read(function, bar, 4);
	if ((address & 7) == 4 && (table & 7) < 5)
		address |= (u64)pci_read(function, bar + 4, 4) << 32;
	address = (address & ~15ull) + (table & ~7u) + index * 16u;
	if (!device_allowed(address, 16))
		return false;
	device_write(address, entry);
	change(function, at + 2, 2, MSIX_MASKED, MSIX_ENABLE);
	return true;
}

bool dev_message(struct kobj *o, u32 index, u32 apic_id, u32 vector, bool masked)
{
	struct dev *d = container_of(o, struct dev, obj);
	u32 function = d->function;
	u32 msix = pci_capability(function, PCI_CAP_MSIX);
	u32 msi = pci_capability(function, PCI_CAP_MSI);
	u32 way = IOMMU_NO_WAY;
	bool done = false;

	spin_lock(&lock);
	if (!list_empty(&d->link))
		way = iommu_route(&d->iommu, vector, apic_id, false, !masked);
	if (way != IOMMU_NO_WAY && msix) {
		const u32 entry[4] = {MSI_ADDRESS | way << 4, 0, vector, masked};

		done = write_msix(function, msix, index, entry);
	} else if (way != IOMMU_NO_WAY && msi && !index) {
		pci_message(function, msi, MSI_ADDRESS | way << 4, vector, masked);
		done = true;
	}
	if (done)
		change(function, PCI_COMMAND, 2, 0, INTX_DISABLE);
	spin_unlock(&lock);
	return done;
}

/* Begins a reset of the function alone, which takes up to 100 ms (PCI Express Base Specification,
 * 6.6.2; PCI Advanced Capabilities ECN; PCI Bus Power Management 1.2, 3.2.4). The lock is held. */
static status_t reset(struct dev *d)
{
	u32 f = d->function;
	u32 express = pci_capability(f, PCI_CAP_EXPRESS);
	u32 af = pci_capability(f, PCI_CAP_AF);
	u32 power = pci_capability(f, PCI_CAP_POWER);

	quiesce(d);
	for (u32 i = 0; i < HEADER_WORDS && !d->reset; i++)
		d->header[i] = pci_read(f, i * 4, 4);
	if (express && pci_read(f, express + 4, 4) & EXPRESS_CAN_FLR)
		change(f, express + 8, 2, 0, EXPRESS_FLR);
	else if (af && pci_read(f, af + 3, 1) & AF_CAN_FLR)
		pci_write(f, af + 4, 1, 1);
	else if (power && !(pci_read(f, power + 4, 2) & POWER_NO_RESET))
		change(f, power + 4, 2, 0, POWER_D3);
	else
		return STATUS_NOT_SUPPORTED;
	d->reset = true;
	return STATUS_OK;
}

/* Lets it do DMA; after a reset its addresses are as they were before. The lock is held. */
static void start(struct dev *d)
{
	u32 power = pci_capability(d->function, PCI_CAP_POWER);

	if (power)
		change(d->function, power + 4, 2, POWER_D3, 0);
	for (u32 i = HEADER_WORDS - 1; d->reset && i >= 1; i--)
		pci_write(d->function, i * 4, i == 1 ? 2 : 4, d->header[i]);
	d->reset = false;
	iommu_attach(&d->iommu, true);
	change(d->function, PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
}

/* A configuration access of the thread's call. The lock is held. */
static status_t access(struct thread *t, u32 function)
{
	u64 offset = arg(t, R8), size = arg(t, R9);
	u32 old, kept;

	if ((size != 1 && size != 2 && size != 4) || offset >= PAGE_SIZE || offset % size)
		return STATUS_BAD_ARG;
	old = pci_read(function, (u32)offset, (u32)size);
	if (arg(t, RSI) == DEV_CTL_READ) {
		t->regs.gpr[RDI] = old;
		return STATUS_OK;
	}
	kept = pci_kept(function, (u32)offset, (u32)size);
	pci_write(function, (u32)offset, (u32)size, (old & kept) | ((u32)arg(t, R10) & ~kept));
	return STATUS_OK;
}

/* With the right to all of configuration space. */
static status_t ctl_any(struct thread *t, u64 op)
{
	if (op <= DEV_CTL_WRITE)
		return access(t, (u32)arg(t, RDX));
	if (op != DEV_CTL_FENCE)
		return STATUS_BAD_CALL;
	t->regs.gpr[RDI] = iommu_fence((u32)arg(t, RDX));
	return STATUS_OK;
}

static status_t ctl_one(struct thread *t, struct dev *d, u64 op)
{
	if (list_empty(&d->link))
		return STATUS_GONE;
	switch (op) {
	case DEV_CTL_READ:
		return access(t, d->function);
	case DEV_CTL_QUIESCE:
		quiesce(d);
		return STATUS_OK;
	case DEV_CTL_FENCE:
		t->regs.gpr[RDI] = iommu_fence(d->iommu.requester);
		return STATUS_OK;
	case DEV_CTL_RESET:
		return reset(d);
	case DEV_CTL_START:
		start(d);
		return STATUS_OK;
	}
	return STATUS_BAD_CALL;
}

status_t sys_dev_ctl(struct thread *t, const struct cap *cap)
{
	u64 op = arg(t, RSI);
	bool sys = cap->kind == KIND_SYS;
	u32 right = sys ? RIGHT_PCI : op == DEV_CTL_START ? RIGHT_RUN : RIGHT_CTL;
	status_t s;

	if (!sys && cap->kind != KIND_DEV)
		return STATUS_BAD_KIND;
	if (!(cap->rights & right))
		return STATUS_DENIED;
	spin_lock(&lock);
	s = sys ? ctl_any(t, op) : ctl_one(t, container_of(cap->obj, struct dev, obj), op);
	spin_unlock(&lock);
	return s;
}
