/* What a program may use, made and listed in its start page. */
#include "drivers/root/bus.h"
#include "drivers/root/member.h"
#include "drivers/root/resources.h"

#define HEAP_DOMAIN    (128ull << 10)
#define HEAP_PARTITION (256ull << 10)
#define HEAP_VCPU      (4ull << 10) /* for each further one */
#define TEST_MEMORY    (8ull << 20)
#define LARGE          0x200000ull

struct start_resource *resource_add(struct member *m, struct start_info *info, enum start_kind kind)
{
	struct start_resource *r = &info->resource[info->resources];

	if (info->resources == START_MAX_RESOURCES) {
		log_line("%s: it has more than %d resources", m->node->name, START_MAX_RESOURCES);
		return NULL;
	}
	info->resources++;
	*r = (struct start_resource){.kind = kind};
	return r;
}

bool resource_grant(struct member *m, struct start_resource *r, cap_t source, u64 rights, u64 mask)
{
	r->cap = m->process.next_cap++;
	return member_ok(m, sys_cap_grant(m->process.domain, r->cap, source, rights, mask),
		"capability of a resource");
}

u32 resource_bit(struct member *m)
{
	return m->process.next_bit++ % START_BIT_OWN;
}

bool resource_map(
	struct member *m, struct start_resource *r, cap_t mem, paddr_t base, u64 size, u64 flags)
{
	struct process *p = &m->process;
	u64 mapped = ALIGN_UP(size, PAGE_SIZE);

	/* Large ones lie in their large pages as in physical memory; all are a page or more apart.
	 */
	if (mapped >= LARGE)
		p->next_address = ALIGN_UP(p->next_address, LARGE) + base % LARGE;
	r->address = p->next_address;
	r->size = size;
	p->next_address += mapped + PAGE_SIZE;
	return member_ok(m, sys_mem_map(p->domain, mem, r->address, 0, mapped, flags),
		"mapping of a resource");
}

static bool add_memory(struct member *m, struct start_info *info)
{
	u64 heap = m->node->class == NODE_PARTITION
			   ? HEAP_PARTITION + (m->node->cpus - 1) * HEAP_VCPU
			   : HEAP_DOMAIN;
	struct process *p = &m->process;
	struct start_resource *r;

	r = resource_add(m, info, START_CONFIG);
	if (!r || !resource_map(m, r, m->config.cap, m->config.base, m->config_size, MAP_READ))
		return false;
	r = resource_add(m, info, START_STATE);
	if (!r ||
		!resource_map(m, r, m->kept.cap, m->kept.base, m->kept.size, MAP_READ | MAP_WRITE))
		return false;
	r = resource_add(m, info, START_HEAP);
	if (!r)
		return false;
	r->address = p->next_address;
	r->size = heap;
	p->next_address += heap + PAGE_SIZE;
	return process_memory(m, r->address, heap, MAP_READ | MAP_WRITE, NULL, 0, "heap");
}

static bool add_threads(struct member *m, struct start_info *info)
{
	struct process *p = &m->process;
	u32 port = 1;

	for (u32 i = 1; i < p->threads; i++) {
		struct start_resource *r = resource_add(m, info, START_THREAD);
		bool seen = false;

		if (!r || !resource_grant(m, r, p->thread[i], RIGHT_CTL | RIGHT_GRANT, 0))
			return false;
		r->value = m->node->cpu[i];
		r->address = START_MESSAGES + (i - 1) * PAGE_SIZE;
		r->size = START_STACK_OTHER;
		for (u32 k = 0; k < i; k++)
			seen |= m->node->cpu[k] == m->node->cpu[i];
		if (seen)
			continue;
		r = resource_add(m, info, START_ROOT);
		if (!r || !resource_grant(m, r, p->port[port++], RIGHT_CALL, 0))
			return false;
		r->value = m->node->cpu[i];
	}
	return true;
}

bool resource_irq(struct member *m, struct start_info *info, struct interrupt from, u32 phandle)
{
	struct process *p = &m->process;
	struct msg_create_irq *c = message;
	struct start_resource *r = resource_add(m, info, START_IRQ);

	if (!r)
		return false;
	r->value = from.gsi;
	r->phandle = phandle;
	r->bit = resource_bit(m);
	*c = (struct msg_create_irq){
		.source = ROOT_CAP_SYS,
		.number = from.gsi,
		.flags = from.flags,
		.event = p->event,
		.bits = BIT(r->bit),
	};
	if (!member_ok(m, object_new(KIND_IRQ, p->domain, &p->irq[p->irqs]), "interrupt"))
		return false;
	return resource_grant(m, r, p->irq[p->irqs++], RIGHT_CTL, 0);
}

static bool add_ports(
	struct member *m, struct start_info *info, const struct device_node *d, u16 port, u16 ports)
{
	struct start_resource *r = resource_add(m, info, START_PORTS);

	if (!r || !member_ok(m,
			  sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_PORTS, m->process.domain, port, ports,
				  NULL),
			  "I/O ports"))
		return false;
	r->value = port;
	r->size = ports;
	r->phandle = d->phandle;
	return true;
}

/* Maps the framebuffer that the firmware left. Without one the program gets none, and says so. */
static bool add_framebuffer(struct member *m, struct start_info *info, const struct device_node *d)
{
	const struct boot_framebuffer *f = &boot->framebuffer;
	u64 offset = f->base % PAGE_SIZE;
	struct process *p = &m->process;
	struct msg_create_mem *c = message;
	struct start_resource *r;

	if (f->format == BOOT_PIXEL_NONE)
		return true;
	r = resource_add(m, info, START_FRAMEBUFFER);
	*c = (struct msg_create_mem){
		.parent = ROOT_CAP_DEVICE,
		.cache = MEM_CACHE_WC,
		.offset = f->base - offset,
		.size = ALIGN_UP(f->size + offset, PAGE_SIZE),
	};
	if (!r ||
		!member_ok(m, object_new(KIND_MEM, p->domain, &p->window[p->windows]),
			"framebuffer") ||
		!resource_map(m, r, p->window[p->windows++], f->base - offset, f->size + offset,
			MAP_READ | MAP_WRITE))
		return false;
	r->address += offset;
	r->size = f->size;
	r->value = f->width | (u64)f->height << 32;
	r->bit = f->pitch;
	r->role = f->format;
	r->phandle = d->phandle;
	return true;
}

static bool add_devices(struct member *m, struct start_info *info)
{
	for (u32 i = 0; i < m->node->devices; i++) {
		const struct device_node *d = &m->node->device[i];
		struct start_resource *r;

		if (d->kind == DEVICE_PCI_HOST) {
			r = resource_add(m, info, START_PCI);
			if (!r || !resource_grant(m, r, ROOT_CAP_SYS, RIGHT_PCI, 0))
				return false;
			r->phandle = d->phandle;
			continue;
		}
		if (d->kind == DEVICE_FRAMEBUFFER) {
			if (!add_framebuffer(m, info, d))
				return false;
			continue;
		}
		if (d->kind == DEVICE_FUNCTION) {
			if (!bus_devices_add(m, info, i))
				return false;
			continue;
		}
		if (!add_ports(m, info, d, d->port, d->ports) ||
			(d->more_ports && !add_ports(m, info, d, d->more_port, d->more_ports)))
			return false;
		if (d->has_irq && !resource_irq(m, info, bus_isa_interrupt(boot, d->isa_irq, false),
					  d->phandle))
			return false;
	}
	return true;
}

static bool add_guest(struct member *m, struct start_info *info)
{
	struct guest *g = &m->guest;
	struct start_resource *r = resource_add(m, info, START_VM);

	if (!r || !resource_grant(m, r, g->vm, RIGHT_CTL, 0))
		return false;
	for (u32 i = 0; i < g->vcpus; i++) {
		r = resource_add(m, info, START_VCPU);
		if (!r || !resource_grant(m, r, g->vcpu[i], RIGHT_CTL | RIGHT_RUN, 0))
			return false;
		r->value = i;
	}
	for (u32 i = 0; i < g->parts; i++) {
		r = resource_add(m, info, START_RAM);
		if (!r || !resource_grant(
				  m, r, g->ram[i].cap, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC, 0))
			return false;
		r->value = g->gpa[i];
		r->address = START_GUEST_RAM + g->gpa[i];
		r->size = g->ram[i].size;
		if (!member_ok(m,
			    sys_mem_map(m->process.domain, g->ram[i].cap, r->address, 0, r->size,
				    MAP_READ | MAP_WRITE),
			    "mapping of the guest's RAM"))
			return false;
	}
	return true;
}

static bool add_files(struct member *m, struct start_info *info)
{
	for (u32 i = 0; i < m->node->files; i++) {
		u32 file = m->node->file[i];
		const struct boot_file *f = &boot->file[file];
		struct start_resource *r = resource_add(m, info, START_FILE);

		if (!r || !resource_map(m, r, ROOT_CAP_FILE + file, f->base, f->size, MAP_READ))
			return false;
		r->phandle = m->node->file_phandle[i];
		string_copy(r->name, sizeof(r->name), f->name);
	}
	return true;
}

/* A mem to make parts and pools of, for programs that test the kernel. */
static bool add_test(struct member *m, struct start_info *info)
{
	struct process *p = &m->process;
	struct memory *memory = &p->mem[p->mems];
	struct start_resource *r = resource_add(m, info, START_MEM);

	if (!r || p->mems == PROCESS_MEMS ||
		!member_ok(m, memory_new(p->domain, TEST_MEMORY, memory), "test memory"))
		return false;
	p->mems++;
	p->frames += memory->size;
	r->size = memory->size;
	return resource_grant(m, r, memory->cap,
		RIGHT_CREATE | RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC | RIGHT_GRANT, 0);
}

/* Memory of its own that a driver may attach to its functions. */
static bool add_dma(struct member *m, struct start_info *info)
{
	struct process *p = &m->process;
	struct memory *memory = &p->mem[p->mems];
	struct start_resource *r = resource_add(m, info, START_DMA);

	if (!r || p->mems == PROCESS_MEMS ||
		!member_ok(m, memory_new(p->domain, (u64)m->node->dma_kib << 10, memory),
			"memory for DMA"))
		return false;
	p->mems++;
	p->frames += memory->size;
	return resource_map(m, r, memory->cap, memory->base, memory->size, MAP_READ | MAP_WRITE) &&
	       resource_grant(m, r, memory->cap, RIGHT_DMA, 0);
}

bool resources_make(struct member *m, struct start_info *info)
{
	return add_memory(m, info) && add_threads(m, info) && add_devices(m, info) &&
	       (m->node->class != NODE_PARTITION || add_guest(m, info)) && add_files(m, info) &&
	       (!m->node->test_authority || add_test(m, info)) &&
	       (m->node->class != NODE_DOMAIN || !bus_has_functions(m) || add_dma(m, info)) &&
	       (m->node->class != NODE_DOMAIN || health_add(m, info));
}
