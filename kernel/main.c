/* From the loader to root: the order in which the kernel comes up on the boot processor. */
#include "kernel/iommu.h"
#include "kernel/kernel.h"
#include "kernel/pci.h"
#include "kernel/vcpu.h"

const struct boot_info *boot;
struct pool boot_pool;
const struct vcpu_ops *vcpu_ops;
struct boot_features features;
struct msg_machine machine;

static void check_boot(const struct boot_info *info)
{
	if (info->magic != BOOT_MAGIC || info->abi != BULKHEAD_ABI || info->size != sizeof(*info))
		panic("boot information of another version: put loader and kernel of one build on "
		      "the volume");
	if (info->cpus < 1 || info->cpus > BOOT_MAX_CPUS || info->ranges > BOOT_MAX_RANGES ||
		info->files > BOOT_MAX_FILES || info->ioapics > BOOT_MAX_IOAPICS ||
		info->tsc_hz < 1000000)
		panic("boot information is damaged");
}

static void choose_virtualization(void)
{
	const struct vcpu_ops *ops = features.amd ? &svm_ops : &vmx_ops;
	const char *problem = ops->probe();

	if (problem) {
		log_line("no guests on this machine: %s", problem);
		return;
	}
	must(ops->enable(cpu_self(), &boot_pool), ops->name);
	vcpu_ops = ops;
	log_line("%s", ops->name);
}

void kernel_main(const struct boot_info *info);
void kernel_main(const struct boot_info *info)
{
	u64 start = rdtsc();

	check_boot(info);
	boot = info;
	pool_add(&boot_pool, boot->block_pool,
		boot->block_base + boot->block_size - boot->block_pool);
	features = boot->features;
	ptable_features.host_1g = features.pages_1g;
	ptable_features.host_nx = true; /* the loader has checked */
	cpu_patch();
	write_msr(MSR_PAT, PTABLE_PAT);
	paging_init();
	screen_init();
	if (!features.tsc_invariant)
		log_line("the CPU does not call its TSC invariant: time may drift");
	lapic_init_bsp();
	cpu_init(cpu_make(0, boot->cpu[0].apic_id));
	log_line("Bulkhead: %u CPUs, TSC %lu kHz, %s, %s timer", boot->cpus, boot->tsc_hz / 1000,
		features.x2apic ? "x2APIC" : "xAPIC",
		features.tsc_deadline ? "TSC-deadline" : "LAPIC");
	irq_init();
	pci_init();
	iommu_init(cpu_self()->apic_id);
	choose_virtualization();
	cpus_start();
	root_start();
	machine.features = features;
	machine.cpus = cpu_count;
	machine.tsc_hz = boot->tsc_hz;
	machine.image_bytes = (u64)(image_end - image_start);
	machine.first_task_tsc = rdtsc() - start;
	__atomic_store_n(&cpus_go, 1, __ATOMIC_RELEASE);
	cpu_resume();
}
