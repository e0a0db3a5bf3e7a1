/* Processors, interrupts and tables: from ACPI, else from the firmware, else as every PC has them.
 */
#include "acpi.h"
#include "machine.h"
#include "map.h"
#include "memory.h"
#include "print.h"
#include "uefi.h"
#include "x86.h"

#define DEFAULT_IOAPIC    0xfec00000u
#define DEFAULT_TIMER_GSI 2
#define BRAND_SIZE        48

#define COM1             0x3f8 /* a 16550, registers by their offset */
#define UART_DLL         0
#define UART_DLM         1
#define UART_IER         1
#define UART_FCR         2
#define UART_LCR         3
#define UART_MCR         4
#define LCR_8N1          0x03
#define LCR_DLAB         0x80
#define FCR_ENABLE_CLEAR 0x07
#define MCR_DTR_RTS      0x03

/* PI 1.8 volume 2, 13.3: EFI_MP_SERVICES_PROTOCOL, as far as it is needed here. */
static const EFI_GUID mp_services_guid = {
	0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};

#define MP_CPU_ENABLED BIT(1)
#define MP_CPU_HEALTHY BIT(2)

struct mp_processor {
	u64 apic_id;
	u32 flags;
	u32 location[3];
	u32 extended[6]; /* written only when asked for */
};

struct mp_services {
	EFI_STATUS(EFIAPI *count)(struct mp_services *self, UINTN *all, UINTN *enabled);
	EFI_STATUS(EFIAPI *info)(struct mp_services *self, UINTN number, struct mp_processor *info);
};

/* Writes the processor's name without the spaces that pad it; empty if it has none. */
static void brand_read(char name[BRAND_SIZE + 1])
{
	u32 first = 0;
	u32 length = 0;

	memset(name, 0, BRAND_SIZE + 1);
	if (!cpuid_has(CPUID_BRAND_LAST))
		return;
	for (u32 i = 0; i < BRAND_SIZE / sizeof(struct cpuid); i++) {
		struct cpuid part = cpuid(CPUID_BRAND + i, 0);

		memcpy(name + i * sizeof(part), &part, sizeof(part));
	}
	while (name[first] == ' ')
		first++;
	memmove(name, name + first, BRAND_SIZE + 1 - first);
	for (length = (u32)strlen(name); length && name[length - 1] == ' ';)
		name[--length] = 0;
}

static const char *virtualization_text(void)
{
	if (cpuid(CPUID_FEATURES, 0).ecx & FEATURES_ECX_VMX)
		return "says it has VT-x";
	if (cpuid(CPUID_EXT_FLAGS, 0).ecx & EXT_ECX_SVM)
		return "says it has AMD-V";
	return "says nothing of virtualization";
}

status_t machine_check_cpu(void)
{
	char name[BRAND_SIZE + 1];

	brand_read(name);
	print("loader: %s, %s\n", *name ? name : "processor without a name", virtualization_text());
	if (~cpuid(CPUID_EXT_FLAGS, 0).edx & (EXT_EDX_NX | EXT_EDX_LM)) {
		print("loader: error: the processor has no NX or no long mode.\n"
		      "loader: Switch on \"execute disable\" in the firmware's setup.\n");
		return STATUS_NOT_SUPPORTED;
	}
	if (read_cr4() & CR4_LA57) {
		print("loader: error: the firmware uses 5-level paging, and Bulkhead 4-level.\n"
		      "loader: Switch off 5-level paging (LA57) in the firmware's setup.\n");
		return STATUS_NOT_SUPPORTED;
	}
	return STATUS_OK;
}

/* The ID of the processor that runs this, in the mode that its local APIC is in. */
static u32 own_apic_id(void)
{
	if ((read_msr(MSR_APIC_BASE) & APIC_BASE_X2APIC) && cpuid_has(CPUID_TOPOLOGY))
		return cpuid(CPUID_TOPOLOGY, 0).edx;
	return cpuid(CPUID_FEATURES, 0).ebx >> 24;
}

static const void *table_map(paddr_t base, u64 size)
{
	return map_is_memory(base, size) ? (const void *)base : NULL;
}

/* Through the firmware's root bridges, which know their segments. All ones where nothing answers.
 */
static u32 pci_read(u16 segment, u16 bdf, u32 offset)
{
	EFI_GUID guid = EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID;
	u64 address =
		(u64)(bdf >> 8) << 24 | (u64)(bdf >> 3 & 31) << 16 | (u64)(bdf & 7) << 8 | offset;
	EFI_HANDLE *handle = NULL;
	UINTN handles = 0;
	u32 value = ~0u;

	if (EFI_ERROR(efi->LocateHandleBuffer(ByProtocol, &guid, NULL, &handles, &handle)))
		return value;
	for (UINTN i = 0; i < handles && value == ~0u; i++) {
		EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL *bridge = NULL;

		if (EFI_ERROR(efi->HandleProtocol(handle[i], &guid, (void **)&bridge)) ||
			bridge->SegmentNumber != segment)
			continue;
		if (EFI_ERROR(bridge->Pci.Read(bridge, EfiPciIoWidthUint32, address, 1, &value)))
			value = ~0u;
	}
	efi->FreePool(handle);
	return value;
}

static void table_note(const char *signature, const char *text)
{
	print("loader: ACPI %s: %s\n", signature, text);
}

static paddr_t rsdp_find(void)
{
	static const EFI_GUID guid[] = {ACPI_20_TABLE_GUID, ACPI_TABLE_GUID};

	for (u32 i = 0; i < ARRAY_SIZE(guid); i++) {
		for (UINTN j = 0; j < efi_table->NumberOfTableEntries; j++) {
			const EFI_CONFIGURATION_TABLE *table = &efi_table->ConfigurationTable[j];

			if (memcmp(&table->VendorGuid, &guid[i], sizeof(guid[i])) == 0)
				return (u64)table->VendorTable;
		}
	}
	return 0;
}

static void acpi_read(struct boot_info *info)
{
	static const struct acpi_access access = {table_map, pci_read, table_note};
	struct acpi acpi;
	paddr_t rsdp = rsdp_find();
	status_t status = rsdp ? acpi_open(&acpi, &access, rsdp) : STATUS_NOT_FOUND;

	if (status != STATUS_OK) {
		print("loader: %s ACPI tables; taking the machine for a plain PC\n",
			rsdp ? "damaged" : "no");
		return;
	}
	info->rsdp = rsdp;
	acpi_collect(&acpi, info);
}

/* For machines without a MADT. */
static void processors_from_firmware(struct boot_info *info)
{
	struct mp_services *services = efi_protocol(&mp_services_guid);
	UINTN all = 0, enabled = 0;

	if (!services || EFI_ERROR(services->count(services, &all, &enabled)))
		return;
	for (UINTN i = 0; i < all; i++) {
		struct mp_processor processor = {0};

		if (EFI_ERROR(services->info(services, i, &processor)) ||
			(~processor.flags & (MP_CPU_ENABLED | MP_CPU_HEALTHY)) != 0 ||
			processor.apic_id == info->cpu[0].apic_id)
			continue;
		if (info->cpus == BOOT_MAX_CPUS) {
			print("loader: more than %u processors; the rest stays off\n",
				BOOT_MAX_CPUS);
			return;
		}
		info->cpu[info->cpus++] = (struct boot_cpu){.apic_id = (u32)processor.apic_id};
	}
}

/* The extension decides on the vendor; without one its name, so that the right one is asked for. */
void machine_features(struct boot_features *f)
{
	struct cpuid vendor = cpuid(0, 0);
	struct cpuid basic = cpuid(CPUID_FEATURES, 0);
	struct cpuid extended = cpuid(CPUID_EXT_FLAGS, 0);
	struct cpuid more = {0};

	if (cpuid_has(CPUID_STRUCTURED))
		more = cpuid(CPUID_STRUCTURED, 0);
	f->vmx = basic.ecx & FEATURES_ECX_VMX;
	f->svm = extended.ecx & EXT_ECX_SVM;
	f->amd = f->svm || (vendor.ebx == VENDOR_AMD && !f->vmx);
	f->x2apic = basic.ecx & FEATURES_ECX_X2APIC;
	f->tsc_deadline = basic.ecx & FEATURES_ECX_DEADLINE;
	f->pcid = basic.ecx & FEATURES_ECX_PCID;
	f->xsave = basic.ecx & FEATURES_ECX_XSAVE;
	f->spec_ctrl = more.edx & STRUCTURED_EDX_SPEC_CTRL;
	f->fsgsbase = more.ebx & STRUCTURED_EBX_FSGSBASE;
	f->pages_1g = extended.edx & EXT_EDX_1G;
	f->tsc_invariant = cpuid_has(CPUID_POWER) && cpuid(CPUID_POWER, 0).edx & POWER_EDX_TSC;
	f->paddr_bits = cpuid_has(CPUID_ADDRESSES) ? cpuid(CPUID_ADDRESSES, 0).eax & 0xff : 36;
	f->cr4 = (more.ebx & STRUCTURED_EBX_SMEP ? CR4_SMEP : 0) |
		 (more.ebx & STRUCTURED_EBX_SMAP ? CR4_SMAP : 0) |
		 (more.ecx & STRUCTURED_ECX_UMIP ? CR4_UMIP : 0) |
		 (f->fsgsbase ? CR4_FSGSBASE : 0) | (f->xsave ? CR4_OSXSAVE : 0) |
		 (f->pcid ? CR4_PCIDE : 0);
	if (f->xsave) {
		u64 has = cpuid(CPUID_XSAVE, 0).eax;

		/* later components come with their own care */
		f->xcr0 = has & XCR0_GUEST;
		f->xcr0_saved = has & (XCR0_GUEST | XCR0_PKRU);
	}
}

/* 115200 8N1, without interrupts; writes to nobody if there is no 16550. */
void machine_serial(void)
{
	out8(COM1 + UART_IER, 0);
	out8(COM1 + UART_LCR, LCR_DLAB);
	out8(COM1 + UART_DLL, 1);
	out8(COM1 + UART_DLM, 0);
	out8(COM1 + UART_LCR, LCR_8N1);
	out8(COM1 + UART_FCR, FCR_ENABLE_CLEAR);
	out8(COM1 + UART_MCR, MCR_DTR_RTS);
}

void machine_collect(struct boot_info *info)
{
	u64 apic_base = read_msr(MSR_APIC_BASE);

	info->lapic = apic_base & APIC_BASE_ADDRESS;
	if (apic_base & APIC_BASE_X2APIC)
		info->flags |= BOOT_FLAG_X2APIC_REQ;
	info->power.reset_space = ACPI_SPACE_NONE;
	info->cpus = 1;
	info->cpu[0] = (struct boot_cpu){.apic_id = own_apic_id(), .flags = BOOT_CPU_BSP};
	acpi_read(info);
	if (info->cpus == 1)
		processors_from_firmware(info);
	if (info->ioapics == 0) {
		info->ioapic[info->ioapics++] = (struct boot_ioapic){.address = DEFAULT_IOAPIC};
		info->flags |= BOOT_FLAG_8259;
		info->override[0] = (struct boot_override){.isa_irq = 0, .gsi = DEFAULT_TIMER_GSI};
		info->overrides = 1;
	}
	print("loader: %u processors, %u I/O APICs, %u ECAM ranges, %u IOMMUs%s\n", info->cpus,
		info->ioapics, info->ecams, info->iommus,
		info->power.s5_valid ? "" : ", no ACPI power-off");
}
