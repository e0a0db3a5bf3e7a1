/* Processors: features, per-CPU areas, descriptor tables, starting the others, posted work. */
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

/* A per-CPU area, in frames of the boot pool with a hole below each stack */
#define AREA_CPU   0x1000ull /* struct cpu, GDT */
#define AREA_STACK 0x4000ull /* 0x3000 unmapped; 8 KiB */
#define STACK_SIZE 0x2000ull
#define AREA_IST   0x8000ull /* four: 4 KiB each, every other page unmapped */
#define IST_STACKS 4
#define AREA_TSS   0x12000ull /* TSS and I/O bitmap: three pages */

#define GATE_INTERRUPT 0x8e00ull
#define GATE_USER      0x6000ull /* DPL 3 */
#define TSS_TYPE       0x89ull
#define CR4_ALWAYS     (CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT)

struct cpu *cpus[BOOT_MAX_CPUS];
unsigned cpu_count;

static struct {
	u64 low;
	u64 high;
} idt[256] __attribute__((aligned(16)));

extern char vector_stubs[], nmi_entry[], debug_entry[], double_fault_entry[], machine_check_entry[];
extern char ap_entry[], syscall_entry[], gs_clear_sysret[], gs_clear_iret[];

/* Before the image is mapped without the right to write. */
void cpu_patch(void)
{
	static const u8 nop[] = {0x0f, 0x1f, 0x44, 0x00, 0x00}; /* as long as WRGSBASE */

	if (features.fsgsbase)
		return;
	memcpy(gs_clear_sysret, nop, sizeof(nop));
	memcpy(gs_clear_iret, nop, sizeof(nop));
}

static void map_area(u64 va, u64 size)
{
	for (u64 at = 0; at < size; at += PAGE_SIZE) {
		void *frame = pool_frame_alloc(&boot_pool);

		must(frame ? ptable_map(&kernel_ptable, va + at, window_pa(frame), PAGE_SIZE,
				     PTABLE_READ | PTABLE_WRITE | PTABLE_GLOBAL, MEM_CACHE_WB)
			   : STATUS_NO_MEMORY,
			"the area of a CPU");
	}
}

struct cpu *cpu_make(unsigned index, u32 apic_id)
{
	u64 area = AREA_BASE + index * AREA_STRIDE;
	struct cpu *c = (struct cpu *)(area + AREA_CPU);
	struct tss *tss = (struct tss *)(area + AREA_TSS);

	static_assert(sizeof(struct cpu) + 64 <= 0x2000);
	map_area(area + AREA_CPU, 0x2000);
	map_area(area + AREA_STACK, STACK_SIZE);
	map_area(area + AREA_TSS, TSS_SIZE);
	for (unsigned i = 0; i < IST_STACKS; i++) {
		u64 stack = area + AREA_IST + 2 * i * PAGE_SIZE;

		map_area(stack, PAGE_SIZE);
		/* ist_common finds its CPU above its frame. */
		*(struct cpu **)(stack + PAGE_SIZE - 16) = c;
		tss->ist[i] = stack + PAGE_SIZE - 16;
	}
	c->self = c;
	c->index = index;
	c->apic_id = apic_id;
	c->stack_top = area + AREA_STACK + STACK_SIZE;
	c->tss = tss;
	tss->rsp[0] = c->stack_top;
	tss->io_base = sizeof(struct tss);
	memset(tss->io_bitmap, 0xff, sizeof(tss->io_bitmap));
	sched_init_cpu(c);
	cpus[index] = c;
	return c;
}

static void set_gate(unsigned vector, void *entry, unsigned ist, u64 flags)
{
	u64 a = (u64)entry;

	idt[vector].low = (a & 0xffff) | SEL_KERNEL_CODE << 16 | (u64)ist << 32 |
			  (GATE_INTERRUPT | flags) << 32 | (a >> 16 & 0xffff) << 48;
	idt[vector].high = a >> 32;
}

static void load_tables(struct cpu *c)
{
	u64 *gdt = (u64 *)(AREA_BASE + c->index * AREA_STRIDE + AREA_CPU + 0x2000 - 64);
	u64 tss = (u64)c->tss;
	struct descriptor_table p = {7 * 8 - 1, (u64)gdt};

	gdt[1] = 0x00af9b000000ffff; /* kernel code: 64-bit */
	gdt[2] = 0x00cf93000000ffff; /* kernel data */
	gdt[3] = 0x00cff3000000ffff; /* user data */
	gdt[4] = 0x00affb000000ffff; /* user code: 64-bit */
	gdt[5] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | TSS_TYPE << 40 |
		 (tss >> 24 & 0xff) << 56;
	gdt[6] = tss >> 32;
	__asm__ volatile("lgdt %0" : : "m"(p));
	__asm__ volatile("pushq %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
			 :
			 : "i"(SEL_KERNEL_CODE)
			 : "rax", "memory");
	__asm__ volatile("mov %0, %%ss; mov %1, %%ds; mov %1, %%es; mov %1, %%fs; mov %1, %%gs"
			 :
			 : "r"(SEL_KERNEL_DATA), "r"(0));
	__asm__ volatile("lldt %w0" : : "r"(0));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	p = (struct descriptor_table){sizeof(idt) - 1, (u64)idt};
	__asm__ volatile("lidt %0" : : "m"(p));
}

static void make_idt(void)
{
	for (unsigned v = 0; v < 256; v++)
		set_gate(v, vector_stubs + 16 * v, 0, v == 3 || v == 4 ? GATE_USER : 0);
	set_gate(1, debug_entry, 1, 0);
	set_gate(2, nmi_entry, 2, 0);
	set_gate(8, double_fault_entry, 3, 0);
	set_gate(18, machine_check_entry, 4, 0);
}

void cpu_init(struct cpu *c)
{
	if (!idt[0].low)
		make_idt();
	load_tables(c);
	write_msr(MSR_GS_BASE, (u64)c);
	write_msr(MSR_KERNEL_GS_BASE, 0);
	write_msr(MSR_FS_BASE, 0);
	write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE | EFER_NXE);
	write_msr(MSR_STAR, (u64)(SEL_USER_DATA - 8) << 48 | (u64)SEL_KERNEL_CODE << 32);
	write_msr(MSR_LSTAR, (u64)syscall_entry);
	write_msr(MSR_SFMASK, ~(u64)RFLAGS_FIXED & 0x3f7fd5);
	write_msr(MSR_SYSENTER_CS, 0); /* SYSENTER in ring 3: #GP, whatever the firmware left */
	write_msr(MSR_PAT, PTABLE_PAT);
	write_cr4((read_cr4() & CR4_VMXE) | CR4_ALWAYS | features.cr4);
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG | CR0_TS);
	c->task_switched = 1;
	fpu_init_cpu(c);
	lapic_init_cpu();
	c->armed = TIME_NEVER;
}

static_assert(offsetof(struct ptable, root) == 0, "ap_entry loads it");

u32 cpus_go; /* set when the boot processor enters ring 3 */

void ap_main(struct cpu *c);
void ap_main(struct cpu *c)
{
	const char *problem;

	cpu_init(c);
	if (vcpu_ops) {
		problem = vcpu_ops->probe();
		if (problem || vcpu_ops->enable(c, &boot_pool) != STATUS_OK)
			panic("CPU %u cannot run guests as the first one can: %s", c->index,
				problem ? problem : "no memory");
	}
	__atomic_store_n(&c->up, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&cpus_go, __ATOMIC_ACQUIRE))
		cpu_pause();
	cpu_resume();
}

void cpus_start(void)
{
	for (u32 i = 1; i < boot->cpus; i++) {
		struct boot_cpu *b = (struct boot_cpu *)&boot->cpu[i]; /* nobody else writes here */
		struct cpu *c = cpu_make(i, b->apic_id);

		if (!(b->flags & BOOT_CPU_WAITS))
			panic("CPU with APIC ID %u does not start", b->apic_id);
		b->argument = (u64)c;
		__atomic_store_n(&b->entry, (u64)ap_entry, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&c->up, __ATOMIC_ACQUIRE))
			cpu_pause();
	}
	cpu_count = boot->cpus;
}

void cpu_post(struct cpu *c, struct work *w)
{
	struct cpu *me = cpu_self();
	struct work *old = __atomic_load_n(&c->works, __ATOMIC_RELAXED);

	do
		w->next = old;
	while (!__atomic_compare_exchange_n(
		&c->works, &old, w, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	if (c == me)
		c->resched = 1;
	else if (!old)
		lapic_ipi(c->apic_id, VECTOR_IPI);
}

void cpu_run_works(void)
{
	struct work *w = __atomic_exchange_n(&cpu_self()->works, NULL, __ATOMIC_SEQ_CST);
	struct work *first = NULL;

	/* The stack has the newest first; run in the order of posting. */
	while (w) {
		struct work *next = w->next;

		w->next = first;
		first = w;
		w = next;
	}
	while (first) {
		struct work *next = first->next;

		first->run(first);
		first = next;
	}
}
