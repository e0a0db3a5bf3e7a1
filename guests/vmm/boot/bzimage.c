/*
 * Linux's bzImage, entered at its 64-bit entry point, or without one at its 32-bit entry point
 * (Linux, Documentation/arch/x86/boot.rst: "The real-mode kernel header", "32-bit boot protocol",
 * "64-bit boot protocol").
 */
#include "boot.h"
#include "drivers/lib/lib.h"

#define HEADER_START     0x1f1u /* in the file and in the zero page */
#define HEADER_SIGNATURE 0x202u
#define SIGNATURE        0x53726448u /* "HdrS" */
#define BOOT_FLAG        0xaa55u
#define VERSION_MIN      0x20c /* xloadflags */
#define SECTOR           512u
#define SETUP_DEFAULT    4u
#define ENTRY_64         0x200u
#define LOADED_HIGH      BIT(0)
#define XLF_KERNEL_64    BIT(0)
#define LOADER_UNDEFINED 0xff
#define E820_MAX         128u
#define ALIGN_MAX        (1u << 30)

/* From HEADER_START on. */
struct setup_header {
	u8 setup_sects;
	u16 root_flags;
	u32 syssize; /* 16-byte units */
	u16 ram_size;
	u16 vid_mode;
	u16 root_dev;
	u16 boot_flag;
	u16 jump;
	u32 header;
	u16 version;
	u32 realmode_swtch;
	u16 start_sys_seg;
	u16 kernel_version;
	u8 type_of_loader;
	u8 loadflags;
	u16 setup_move_size;
	u32 code32_start;
	u32 ramdisk_image;
	u32 ramdisk_size;
	u32 bootsect_kludge;
	u16 heap_end_ptr;
	u8 ext_loader_ver;
	u8 ext_loader_type;
	u32 cmd_line_ptr;
	u32 initrd_addr_max;
	u32 kernel_alignment;
	u8 relocatable_kernel;
	u8 min_alignment;
	u16 xloadflags;
	u32 cmdline_size;
	u32 hardware_subarch;
	u64 hardware_subarch_data;
	u32 payload_offset;
	u32 payload_length;
	u64 setup_data;
	u64 pref_address;
	u32 init_size;
	u32 handover_offset;
	u32 kernel_info_offset;
} __attribute__((packed));
static_assert(offsetof(struct setup_header, header) == HEADER_SIGNATURE - HEADER_START);
static_assert(offsetof(struct setup_header, init_size) == 0x260 - HEADER_START);

struct e820_entry {
	u64 base;
	u64 size;
	u32 type;
} __attribute__((packed));

/* The zero page: only the fields that are set here have names. */
struct zero_page {
	u8 before_rsdp[0x70];
	u64 acpi_rsdp_addr;
	u8 before_e820_entries[0x1e8 - 0x78];
	u8 e820_entries;
	u8 before_header[HEADER_START - 0x1e9];
	struct setup_header header;
	u8 before_e820[0x2d0 - 0x26c];
	struct e820_entry e820[E820_MAX];
	u8 rest[PAGE_SIZE - 0xcd0];
} __attribute__((packed));
static_assert(sizeof(struct zero_page) == PAGE_SIZE);
static_assert(offsetof(struct zero_page, e820) == 0x2d0);

bool bzimage_is(const struct boot_image *image)
{
	u32 signature;

	if (!image->data || image->size < HEADER_START + sizeof(struct setup_header))
		return false;
	memcpy(&signature, (const u8 *)image->data + HEADER_SIGNATURE, sizeof(signature));
	return signature == SIGNATURE;
}

static bool has_entry_64(const struct setup_header *h)
{
	return h->xloadflags & XLF_KERNEL_64;
}

/* Of the entry point in the part that is loaded, in bytes. */
static u32 entry_offset(const struct setup_header *h)
{
	return has_entry_64(h) ? ENTRY_64 : 0;
}

/* Checks what does not depend on the machine; finds the part that is loaded. */
static const char *check_header(
	const struct boot_image *image, const struct setup_header *h, u64 *offset, u64 *size)
{
	u64 sectors = h->setup_sects ? h->setup_sects : SETUP_DEFAULT;

	if (h->boot_flag != BOOT_FLAG)
		return "damaged: the boot flag is missing";
	if (h->version < VERSION_MIN)
		return "its boot protocol is older than 2.12";
	if (!(h->loadflags & LOADED_HIGH))
		return "it is a zImage, to be loaded low";
	*offset = (sectors + 1) * SECTOR;
	*size = (u64)h->syssize * 16;
	if (*offset >= image->size || !*size)
		return "damaged: the file ends before the kernel begins";
	if (*size - 15 > image->size - *offset)
		return "damaged: the file is shorter than its header says";
	if (*size > image->size - *offset)
		*size = image->size - *offset; /* rounding of syssize */
	if (*size <= entry_offset(h))
		return "damaged: the kernel is too small for its entry point";
	if (h->init_size < *size)
		return "damaged: init_size is less than the kernel's size";
	if (!h->kernel_alignment || h->kernel_alignment > ALIGN_MAX ||
		(h->kernel_alignment & (h->kernel_alignment - 1)))
		return "damaged: the alignment is no power of two";
	return NULL;
}

/* Where the kernel goes: where it wants to, else, if it can, the first aligned place. 0: nowhere.
 */
static gpa_t place_kernel(const struct gmem *memory, const struct setup_header *h)
{
	u64 align = h->kernel_alignment < PAGE_SIZE ? PAGE_SIZE : h->kernel_alignment;

	if (h->pref_address >= BOOT_HIGH_START && h->pref_address < BOOT_4G &&
		IS_ALIGNED(h->pref_address, PAGE_SIZE) &&
		h->pref_address + h->init_size <= BOOT_4G &&
		memmap_is_ram(memory, h->pref_address, h->init_size))
		return h->pref_address;
	if (!h->relocatable_kernel)
		return 0;
	for (u32 i = 0; i < memory->ranges; i++) {
		u64 base = memory->range[i].base;
		gpa_t at = ALIGN_UP(base < BOOT_HIGH_START ? BOOT_HIGH_START : base, align);

		if (at < BOOT_4G && at + h->init_size <= BOOT_4G &&
			memmap_is_ram(memory, at, h->init_size))
			return at;
	}
	return 0;
}

static const char *put_initrd(const struct boot_request *r, struct setup_header *h, gpa_t kernel)
{
	u64 limit = (u64)h->initrd_addr_max + 1;
	gpa_t at;

	if (!r->initrd.data || !r->initrd.size)
		return NULL;
	if (r->initrd.size > UINT32_MAX)
		return "the initrd is larger than 4 GiB";
	at = memmap_place_high(r->memory, r->initrd.size, limit, kernel, h->init_size);
	if (!at || !gmem_write(r->memory, at, r->initrd.data, r->initrd.size))
		return "the machine has not enough memory for the initrd";
	h->ramdisk_image = (u32)at;
	h->ramdisk_size = (u32)r->initrd.size;
	return NULL;
}

static void put_e820(const struct gmem *memory, struct zero_page *zero)
{
	struct memmap_entry map[MEMMAP_MAX];
	u32 entries = memmap_build(memory, map);

	for (u32 i = 0; i < entries; i++)
		zero->e820[i] = (struct e820_entry){map[i].base, map[i].size, map[i].type};
	zero->e820_entries = (u8)entries;
}

const char *bzimage_load(const struct boot_request *r, struct boot_entry *entry)
{
	const u8 *file = r->kernel.data;
	u64 header_end = HEADER_SIGNATURE + file[HEADER_SIGNATURE - 1];
	struct setup_header h;
	struct zero_page *zero;
	const char *wrong;
	u64 offset, size;
	gpa_t at;

	memcpy(&h, file + HEADER_START, sizeof(h));
	wrong = check_header(&r->kernel, &h, &offset, &size);
	if (wrong)
		return wrong;
	at = place_kernel(r->memory, &h);
	if (!at)
		return "the machine has not enough memory where this kernel can be loaded";
	if (r->modules)
		return "a bzImage takes an initrd, and no modules";
	wrong = put_initrd(r, &h, at);
	if (wrong)
		return wrong;
	if (!boot_put_cmdline(r, h.cmdline_size))
		return "the command line is too long";
	zero = gmem_at(r->memory, BOOT_PARAMS, sizeof(*zero));
	if (!zero || !boot_put_paging(r->memory) || !gmem_write(r->memory, at, file + offset, size))
		return "the machine has not enough memory";

	/* the header as the file has it, to the end that it names itself, with the loader's fields
	 * set */
	h.type_of_loader = LOADER_UNDEFINED;
	h.cmd_line_ptr = BOOT_CMDLINE;
	h.code32_start = (u32)at;
	memset(zero, 0, sizeof(*zero));
	if (header_end > HEADER_START + sizeof(h))
		header_end = HEADER_START + sizeof(h);
	if (header_end < offsetof(struct zero_page, header.handover_offset))
		header_end = offsetof(struct zero_page, header.handover_offset);
	memcpy(&zero->header, &h, header_end - HEADER_START);
	zero->acpi_rsdp_addr = r->rsdp;
	put_e820(r->memory, zero);

	*entry = (struct boot_entry){
		.mode = has_entry_64(&h) ? BOOT_MODE_LONG : BOOT_MODE_PROTECTED,
		.rip = at + entry_offset(&h),
		.rsi = BOOT_PARAMS,
		.rsp = BOOT_LOW_END,
		.cr3 = BOOT_PAGING,
	};
	return NULL;
}
