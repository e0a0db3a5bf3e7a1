/* The loader: from the firmware's hands into the kernel's. README.md tells the order and why. */
#include "block.h"
#include "clock.h"
#include "elf.h"
#include "files.h"
#include "font.h"
#include "list.h"
#include "machine.h"
#include "map.h"
#include "memory.h"
#include "print.h"
#include "processors.h"
#include "uefi.h"

#define KEY_WAIT       30 /* seconds that an error message stays */
#define TICKS_A_SECOND 10000000ull
#define LOW_MEMORY     0xfffffull /* a starting processor runs below this */

/* Everything that must be given back if the start fails. */
struct start {
	struct boot_info *info;
	struct boot_file kernel_file;
	struct boot_file list_file;
	struct elf_kernel kernel;
	struct block_plan plan;
	char *block;
};

/* Leaves the firmware: start.S. */
void kernel_enter(u64 cr3, u64 entry, u64 info) __attribute__((noreturn));

/* Refuses an ELF file that was built for another ABI; one that does not say is not ours to judge.
 */
static status_t abi_check(const struct boot_file *file, bool note_needed)
{
	u32 abi = 0;
	status_t status = elf_find_abi((const void *)file->base, file->size, &abi);

	if (status == STATUS_OK && abi == BULKHEAD_ABI)
		return STATUS_OK;
	if (status == STATUS_OK)
		print("loader: error: %s has ABI %u, this loader has ABI %u.\n"
		      "loader: Make the whole image from one build.\n",
			file->name, abi, BULKHEAD_ABI);
	else if (status == STATUS_NOT_FOUND && !note_needed)
		return STATUS_OK;
	else
		print("loader: error: %s %s.\n"
		      "loader: Make the image anew.\n",
			file->name,
			status == STATUS_DAMAGED ? "is damaged" : "does not tell its ABI");
	return STATUS_NOT_SUPPORTED;
}

static status_t kernel_read(struct start *start)
{
	struct boot_file *file = &start->kernel_file;
	const char *why;
	status_t status;

	memcpy(file->name, "kernel.elf", sizeof("kernel.elf"));
	status = files_read(file);
	if (status != STATUS_OK)
		return status;
	status = abi_check(file, true);
	if (status != STATUS_OK)
		return status;
	status = elf_check_kernel((const void *)file->base, file->size, &start->kernel, &why);
	if (status != STATUS_OK)
		print("loader: error: kernel.elf cannot be used: %s.\nloader: Make the image "
		      "anew.\n",
			why);
	return status;
}

static status_t names_read(struct start *start)
{
	struct boot_file *list = &start->list_file;
	struct boot_info *info = start->info;
	const char *why;
	status_t status;
	u32 line;

	memcpy(list->name, "files.txt", sizeof("files.txt"));
	status = files_read(list);
	if (status != STATUS_OK)
		return status;
	if (list->size > LIST_SIZE_MAX) {
		print("loader: error: files.txt is no list of files.\nloader: Make the image "
		      "anew.\n");
		return STATUS_DAMAGED;
	}
	status = list_read(
		(const char *)list->base, list->size, info->file, &info->files, &line, &why);
	if (status != STATUS_OK) {
		info->files = 0;
		print("loader: error: files.txt, line %u: %s (at most %u files, names of %u).\n"
		      "loader: Correct the system description, and make the image anew.\n",
			line, why, BOOT_MAX_FILES, BOOT_NAME_SIZE - 1);
	}
	return status;
}

static status_t boot_files_read(struct start *start)
{
	struct boot_info *info = start->info;
	status_t status = names_read(start);
	const char *fault;

	for (u32 i = 0; i < info->files && status == STATUS_OK; i++) {
		status = files_read(&info->file[i]);
		if (status == STATUS_OK)
			status = abi_check(&info->file[i], false);
	}
	if (status != STATUS_OK)
		return status;
	if (elf_check_root((const void *)info->file[0].base, info->file[0].size, info, &fault) !=
		STATUS_OK) {
		print("loader: error: root.elf cannot be used: %s.\nloader: Make the image anew.\n",
			fault);
		return STATUS_DAMAGED;
	}
	fault = list_tree_fault((const void *)info->file[1].base, info->file[1].size);
	if (fault) {
		print("loader: error: system.dtb is damaged: %s.\nloader: Make the image anew.\n",
			fault);
		return STATUS_DAMAGED;
	}
	return STATUS_OK;
}

static status_t block_allocate(struct start *start)
{
	const void *file = (const void *)start->kernel_file.base;
	u64 functions = elf_copy_functions(file, &start->kernel, NULL);
	EFI_PHYSICAL_ADDRESS base;
	u64 size;

	if (map_read() != STATUS_OK)
		return STATUS_NO_MEMORY;
	start->plan = block_plan(&start->kernel, functions, map_ram(), start->info->cpus);
	size = start->plan.size;
	base = map_find_block(&size);
	if (!base || size < start->plan.least ||
		EFI_ERROR(efi->AllocatePages(
			AllocateAddress, EfiLoaderData, size >> PAGE_SHIFT, &base))) {
		print("loader: error: no %lu MiB in one piece below 4 GiB for the kernel.\n"
		      "loader: Take a machine with more memory.\n",
			start->plan.least >> 20);
		return STATUS_NO_MEMORY;
	}
	start->plan.size = size;
	start->block = (char *)base;
	return STATUS_OK;
}

/* Writes the image, the symbols and the tables; boot_info itself follows when it is complete. */
static void block_fill(struct start *start)
{
	const char *file = (const char *)start->kernel_file.base;
	const struct block_plan *plan = &start->plan;
	struct boot_info *info = start->info;
	u64 base = (u64)start->block;

	elf_load_kernel(file, &start->kernel, start->block);
	elf_copy_functions(file, &start->kernel, start->block + plan->symbols);
	if (plan->strings_size)
		memcpy(start->block + plan->strings, file + start->kernel.strings,
			plan->strings_size);
	info->block_base = base;
	info->block_size = plan->size;
	info->block_info = base + plan->info;
	info->block_pool = base + plan->pool;
	info->symtab = plan->symbols_size ? base + plan->symbols : 0;
	info->symtab_size = plan->symbols_size;
	info->strtab = plan->symbols_size ? base + plan->strings : 0;
	info->strtab_size = plan->strings_size;
}

static status_t trampoline_allocate(struct start *start)
{
	EFI_PHYSICAL_ADDRESS base = LOW_MEMORY;
	EFI_PHYSICAL_ADDRESS zero = 0;
	EFI_STATUS status = efi->AllocatePages(AllocateAddress, EfiBootServicesData, 1, &zero);

	/* page 0 is held meanwhile, if it is free at all, so that it cannot be the one */
	if (EFI_ERROR(efi->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &base)))
		base = 0;
	if (!EFI_ERROR(status))
		efi->FreePages(zero, 1);
	if (!base) {
		print("loader: error: no free page below 1 MiB to start processors with.\n"
		      "loader: Bulkhead cannot run with this firmware.\n");
		return STATUS_NO_MEMORY;
	}
	start->info->ap_trampoline = base;
	return STATUS_OK;
}

static status_t prepare(struct start *start)
{
	struct boot_info *info = start->info;
	status_t status = files_open();

	if (status == STATUS_OK)
		status = kernel_read(start);
	if (status == STATUS_OK)
		status = boot_files_read(start);
	files_close();
	if (status == STATUS_OK)
		status = map_read();
	if (status != STATUS_OK)
		return status;
	machine_collect(info);
	machine_features(&info->features);
	machine_screen(&info->framebuffer);
	memcpy(info->font, font, sizeof(info->font));
	machine_entropy(info);
	status = block_allocate(start);
	if (status != STATUS_OK)
		return status;
	block_fill(start);
	status = trampoline_allocate(start);
	if (status == STATUS_OK)
		status = clock_measure(info);
	if (status != STATUS_OK)
		return status;
	clock_read_time(info);
	return map_read(); /* once more, so that the buffer has its slack when it cannot grow any
			      longer */
}

/* Gives the firmware its memory back. */
static void undo(struct start *start)
{
	files_free(&start->kernel_file);
	files_free(&start->list_file);
	if (start->info->ap_trampoline)
		efi->FreePages(start->info->ap_trampoline, 1);
	efi_pages_free(start->block, start->plan.size);
	for (u32 i = 0; i < start->info->files; i++)
		files_free(&start->info->file[i]);
	efi_pages_free(start->info, sizeof(*start->info));
}

/* Leaves a message on the screen until a key is pressed or half a minute has passed. */
static void wait_for_key(void)
{
	EFI_EVENT event[2];
	UINTN which;

	print("loader: Back to the firmware with any key, or in %u seconds.\n", KEY_WAIT);
	if (EFI_ERROR(efi->CreateEvent(EVT_TIMER, TPL_APPLICATION, NULL, NULL, &event[0])))
		return;
	efi->SetTimer(event[0], TimerRelative, KEY_WAIT * TICKS_A_SECOND);
	if (efi_table->ConIn) {
		event[1] = efi_table->ConIn->WaitForKey;
		efi_table->ConIn->Reset(efi_table->ConIn, FALSE);
	}
	efi->WaitForEvent(efi_table->ConIn ? 2 : 1, event, &which);
	efi->CloseEvent(event[0]);
}

/* The point of no return. No message is possible after the first try to leave. */
static void start_kernel(struct start *start)
{
	struct boot_info *info = start->info;
	u64 base = info->block_base;
	u64 cr3 = block_map(&start->plan, base, (u64)kernel_enter);

	print("loader: starting the kernel at %lx, %lu MiB\n", base, info->block_size >> 20);
	if (map_exit() != STATUS_OK) {
		for (;;)
			asm volatile("cli; hlt");
	}
	machine_serial();
	map_to_ranges(info);
	memcpy(start->block + start->plan.info, info, sizeof(*info));
	processors_start((struct boot_info *)(start->block + start->plan.info), cr3);
	kernel_enter(cr3, start->kernel.entry, BOOT_WINDOW + base + start->plan.info);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	struct start start = {0};
	status_t status;

	efi_image = image;
	efi_table = table;
	efi = table->BootServices;
	efi->SetWatchdogTimer(0, 0, 0, NULL);
	print("\nBulkhead loader, ABI %u\n", BULKHEAD_ABI);
	status = machine_check_cpu();
	if (status == STATUS_OK) {
		start.info = efi_pages(sizeof(*start.info));
		if (start.info) {
			start.info->magic = BOOT_MAGIC;
			start.info->abi = BULKHEAD_ABI;
			start.info->size = sizeof(*start.info);
			status = prepare(&start);
			files_free(&start.kernel_file);
			files_free(&start.list_file);
			if (status == STATUS_OK)
				start_kernel(&start);
			undo(&start);
		} else {
			print("loader: error: out of memory.\n");
		}
	}
	wait_for_key();
	return EFI_LOAD_ERROR;
}
