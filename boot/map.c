/* Reads the memory map, leaves the boot services (UEFI 2.10, 7.2 and 7.4.6), and makes the ranges.
 */
#include "map.h"
#include "memory.h"
#include "ranges.h"
#include "uefi.h"

#define MAP_SLACK       64   /* descriptors that may come to be before ExitBootServices */
#define WORK_RANGES     4096 /* ranges while they are put together */
#define EXIT_TRIES      16   /* one is the rule, two when a timer event came between */
#define LOW_LIMIT       0x100000000ull
#define LEGACY_BASE     0xe0000ull /* old firmwares keep tables here without listing it */
#define LEGACY_SIZE     0x20000ull
#define IOAPIC_SIZE     0x20ull
#define IOMMU_SIZE      0x4000ull
#define UNACCEPTED_TYPE 15 /* EfiUnacceptedMemoryType: gnu-efi ends before it */

static struct {
	u8 *bytes;
	UINTN room; /* bytes */
	UINTN used; /* bytes */
	UINTN stride;
	UINTN key;
	struct ranges ranges;
} map;

/* Descriptors may be longer than the structure: the firmware tells their distance. */
static const EFI_MEMORY_DESCRIPTOR *map_next(const EFI_MEMORY_DESCRIPTOR *at)
{
	const u8 *next = at ? (const u8 *)at + map.stride : map.bytes;

	return next + sizeof(*at) <= map.bytes + map.used ? (const void *)next : NULL;
}

static EFI_STATUS map_fetch(void)
{
	UINT32 version;

	map.used = map.room;
	return efi->GetMemoryMap(
		&map.used, (EFI_MEMORY_DESCRIPTOR *)map.bytes, &map.key, &map.stride, &version);
}

status_t map_read(void)
{
	EFI_STATUS status = map_fetch();

	while (status == EFI_BUFFER_TOO_SMALL) {
		efi_pages_free(map.bytes, map.room);
		map.room = ALIGN_UP(map.used + MAP_SLACK * map.stride, PAGE_SIZE);
		map.bytes = efi_pages(map.room);
		if (!map.bytes) {
			map.room = 0;
			return STATUS_NO_MEMORY;
		}
		status = map_fetch();
	}
	if (!map.ranges.range) {
		map.ranges.range = efi_pages(WORK_RANGES * sizeof(struct boot_range));
		map.ranges.capacity = WORK_RANGES;
		if (!map.ranges.range)
			return STATUS_NO_MEMORY;
	}
	return EFI_ERROR(status) || map.stride < sizeof(EFI_MEMORY_DESCRIPTOR) ? STATUS_NO_MEMORY
									       : STATUS_OK;
}

static u64 size_of(const EFI_MEMORY_DESCRIPTOR *at)
{
	return at->NumberOfPages << PAGE_SHIFT;
}

/* What a descriptor will be when the boot services are gone. */
static enum boot_range_type type_of(const EFI_MEMORY_DESCRIPTOR *at)
{
	switch (at->Type) {
	case EfiLoaderCode:
	case EfiLoaderData:
	case EfiBootServicesCode:
	case EfiBootServicesData:
	case EfiConventionalMemory:
		/* memory without write-back caching is not what anybody wants to run in */
		return (at->Attribute & EFI_MEMORY_WB) && !(at->Attribute & EFI_MEMORY_RUNTIME)
			       ? BOOT_RANGE_FREE
			       : BOOT_RANGE_RESERVED;
	case EfiMemoryMappedIO:
	case EfiMemoryMappedIOPortSpace:
		return BOOT_RANGE_DEVICE;
	default:
		return BOOT_RANGE_RESERVED;
	}
}

u64 map_ram(void)
{
	u64 size = 0;

	for (const EFI_MEMORY_DESCRIPTOR *at = map_next(NULL); at; at = map_next(at)) {
		if (type_of(at) == BOOT_RANGE_FREE)
			size += size_of(at);
	}
	return size;
}

bool map_is_memory(paddr_t base, u64 size)
{
	if (base >= LEGACY_BASE && base - LEGACY_BASE < LEGACY_SIZE &&
		size <= LEGACY_SIZE - (base - LEGACY_BASE))
		return true;
	for (const EFI_MEMORY_DESCRIPTOR *at = map_next(NULL); at; at = map_next(at)) {
		if (base >= PAGE_SIZE && base >= at->PhysicalStart &&
			base - at->PhysicalStart < size_of(at) &&
			size <= size_of(at) - (base - at->PhysicalStart))
			return type_of(at) != BOOT_RANGE_DEVICE && at->Type != EfiUnusableMemory &&
			       at->Type != UNACCEPTED_TYPE;
	}
	return false;
}

paddr_t map_find_block(u64 *size)
{
	paddr_t best = 0;
	u64 best_size = 0;

	for (const EFI_MEMORY_DESCRIPTOR *at = map_next(NULL); at; at = map_next(at)) {
		u64 base = ALIGN_UP(at->PhysicalStart, BOOT_BLOCK_ALIGN);
		u64 end = at->PhysicalStart + size_of(at);
		u64 room;

		if (end > LOW_LIMIT)
			end = LOW_LIMIT;
		end = ALIGN_DOWN(end, BOOT_BLOCK_ALIGN);
		if (at->Type != EfiConventionalMemory || type_of(at) != BOOT_RANGE_FREE || !base ||
			base >= end)
			continue;
		room = end - base < *size ? end - base : *size;
		if (room < best_size || (room == best_size && end - room < best))
			continue;
		best = end - room;
		best_size = room;
	}
	*size = best_size;
	return best;
}

/*
 * The map changes when an event allocates between the two calls; then the key is stale, and the
 * specification wants exactly these two calls again. The buffer stays: allocating is over.
 */
status_t map_exit(void)
{
	for (u32 i = 0; i < EXIT_TRIES; i++) {
		if (EFI_ERROR(map_fetch()))
			continue;
		if (!EFI_ERROR(efi->ExitBootServices(efi_image, map.key)))
			return STATUS_OK;
	}
	return STATUS_DAMAGED;
}

/* Puts all descriptors of one type, so that a later call decides where a firmware's map overlaps.
 */
static void put_type(enum boot_range_type type)
{
	for (const EFI_MEMORY_DESCRIPTOR *at = map_next(NULL); at; at = map_next(at)) {
		if (type_of(at) == type)
			ranges_put(&map.ranges, at->PhysicalStart, size_of(at), type, 0);
	}
}

/* What the kernel keeps to itself, whatever the firmware said of it. */
static void put_registers(const struct boot_info *info)
{
	ranges_put(&map.ranges, info->lapic, PAGE_SIZE, BOOT_RANGE_KERNEL, 0);
	for (u32 i = 0; i < info->ioapics; i++)
		ranges_put(&map.ranges, info->ioapic[i].address, IOAPIC_SIZE, BOOT_RANGE_KERNEL, 0);
	for (u32 i = 0; i < info->iommus; i++)
		ranges_put(&map.ranges, info->iommu[i].base, IOMMU_SIZE, BOOT_RANGE_KERNEL, 0);
	for (u32 i = 0; i < info->ecams; i++)
		ranges_put(&map.ranges, info->ecam[i].base, (info->ecam[i].last_bus + 1ull) << 20,
			BOOT_RANGE_KERNEL, 0);
}

void map_to_ranges(struct boot_info *info)
{
	struct ranges *ranges = &map.ranges;

	put_type(BOOT_RANGE_FREE);
	put_type(BOOT_RANGE_DEVICE);
	put_type(BOOT_RANGE_RESERVED);
	for (u32 i = 0; i < info->files; i++)
		ranges_put(ranges, info->file[i].base, info->file[i].size, BOOT_RANGE_FILE, i);
	ranges_put(ranges, info->block_base, info->block_size, BOOT_RANGE_KERNEL, 0);
	ranges_put(ranges, info->ap_trampoline, PAGE_SIZE, BOOT_RANGE_KERNEL, 0);
	put_registers(info);
	ranges_put(ranges, 0, PAGE_SIZE, BOOT_RANGE_RESERVED, 0);
	ranges_limit(ranges, BOOT_MAX_RANGES);
	info->ranges = ranges->count < BOOT_MAX_RANGES ? ranges->count : BOOT_MAX_RANGES;
	memcpy(info->range, ranges->range, info->ranges * sizeof(info->range[0]));
}
