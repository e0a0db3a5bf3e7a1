/* Tests of the AMD-Vi driver on a unit made up here: IOMMU specification 3.08, 2.2 to 2.5, 3.4. */
#include "kernel/pci.h"
#include "svm/amdvi.h"
#include "tests/unit/iommu_unit.h"

#define IOAPIC_ID 0xa0u
#define DEVICES   16u

static u32 commands;
static struct {
	u64 entry[4];
	u32 function;
	bool valid;
} devices[DEVICES]; /* cached entries of the device table */
static struct {
	u32 function, index, value;
	bool valid;
} irtes[DEVICES]; /* cached interrupts */

static void forget_device(u32 function, bool all)
{
	for (u32 i = 0; i < DEVICES; i++)
		devices[i].valid &= !all && devices[i].function != function;
}

static void forget_interrupts(u32 function, bool all)
{
	for (u32 i = 0; i < DEVICES; i++)
		irtes[i].valid &= !all && irtes[i].function != function;
}

static void command(const u64 *c)
{
	commands++;
	switch (c[0] >> 60) {
	case 1:
		CHECK_EQ(c[0] & 0xff00000000000ull << 8, 0);
		CHECK_EQ(c[0] & 7, 1);
		__atomic_store_n((u64 *)window_va(c[0] & 0xffffffffffff8), c[1], __ATOMIC_SEQ_CST);
		break;
	case 2:
		CHECK_EQ(c[0] & 0x0fffffffffff0000, 0);
		forget_device((u32)c[0] & 0xffff, false);
		break;
	case 3:
		CHECK_EQ(c[1], 0x7ffffffffffff003);
		unit_forget_domain((u32)(c[0] >> 32 & 0xffff));
		break;
	case 5:
		forget_interrupts((u32)c[0] & 0xffff, false);
		break;
	case 8:
		CHECK_EQ(c[0] << 4 | c[1], 0);
		unit_forget_all();
		forget_device(0, true);
		forget_interrupts(0, true);
		break;
	default:
		CHECK(false);
	}
}

static bool queue_runs(void)
{
	return (unit_get(AMDVI_CONTROL) & (BIT(0) | BIT(12))) == (BIT(0) | BIT(12));
}

static void step(void)
{
	u64 head = unit_get(AMDVI_COMMAND_HEAD);

	if (!queue_runs())
		return;
	CHECK_EQ(unit_get(AMDVI_COMMANDS) >> 56, 8);
	while (head != unit_get(AMDVI_COMMAND_TAIL)) {
		command((u64 *)window_va((unit_get(AMDVI_COMMANDS) & 0xffffffffff000) + head));
		head = (head + 16) % 4096;
		unit_set(AMDVI_COMMAND_HEAD, head);
	}
}

static void begin(u32 flags)
{
	commands = 0;
	memset(devices, 0, sizeof(devices));
	memset(irtes, 0, sizeof(irtes));
	memset(unit_config, 0, sizeof(unit_config));
	unit_config[PCI_STATUS] = PCI_STATUS_CAPS;
	unit_config[PCI_CAPS] = 0x50;
	unit_config[0x50] = PCI_CAP_MSI;
	unit_begin(BOOT_IOMMU_AMDVI);
	unit_info.iommu[0].flags = flags;
	unit_info.iommu[0].bdf = 0x02;
	unit_info.ioapics = 1;
	unit_info.ioapic[0] = (struct boot_ioapic){0xfec00000, 0, 4};
	unit_info.iommu[0].scopes = 3;
	unit_info.iommu[0].scope[0] =
		(struct boot_iommu_scope){IOAPIC_ID, IOAPIC_ID, BOOT_SCOPE_IOAPIC << 16 | 4};
	unit_info.iommu[0].scope[1] = (struct boot_iommu_scope){0x08, 0x1ff, 1 << 16};
	unit_info.iommu[0].scope[2] =
		(struct boot_iommu_scope){0x210, 0x210, BOOT_SCOPE_ALIAS << 16 | 0x300};
	unit_set(AMDVI_FEATURES, AMDVI_FEATURE_IA);
	unit_run(step);
}

/* Appends an event to the log. */
static void event(u64 first, u64 second)
{
	u64 tail = unit_get(AMDVI_EVENT_TAIL);
	u64 *at = window_va((unit_get(AMDVI_EVENTS) & 0xffffffffff000) + tail);

	at[0] = first;
	at[1] = second;
	unit_set(AMDVI_EVENT_TAIL, (tail + 16) % 4096);
}

/* The entry of a function, as the unit has it. */
static const u64 *device(u32 function)
{
	u64 base = unit_get(AMDVI_DEVICE_TABLE);
	u32 slot = 0;

	if (function * 32 >= ((base & 511) + 1) * 4096)
		return NULL;
	while (slot < DEVICES - 1 && devices[slot].valid && devices[slot].function != function)
		slot++;
	if (!devices[slot].valid) {
		devices[slot].function = function;
		devices[slot].valid = true;
		memcpy(devices[slot].entry, window_va((base & 0xffffffffff000) + function * 32ull),
			32);
	}
	return devices[slot].entry;
}

/* Where an access of the requester goes; NO_ACCESS: it is refused. */
static u64 access(u32 requester, u64 address, bool write)
{
	const u64 *entry = device(requester);
	u64 right = BIT(write ? 62 : 61);
	struct unit_entry *e = unit_find(requester, address);
	u32 level, next;
	u64 at;

	if (!(unit_get(AMDVI_CONTROL) & BIT(0)))
		return address;
	if (!entry)
		return NO_ACCESS;
	CHECK_EQ(entry[0] & 3, 3);
	CHECK_EQ(entry[0] & 0x801000000000017c, 0);
	CHECK_EQ(entry[3], 0);
	level = (u32)(entry[0] >> 9 & 7);
	if (!(entry[0] & right))
		return NO_ACCESS;
	if (!level)
		return address;
	if (!e || e->domain != (entry[1] & 0xffff)) {
		at = entry[0];
		for (;; level = next) {
			u64 span = 1ull << (12 + 9 * (level - 1));

			at = ((u64 *)window_va(at & 0xffffffffff000))[address / span & 511];
			if (!(at & 1)) {
				unit_keep(requester, entry[1] & 0xffff, address, NO_ACCESS, false);
				return NO_ACCESS; /* it keeps absent ones too */
			}
			next = (u32)(at >> 9 & 7);
			CHECK(next < level);
			if (!next) {
				at = (at & ~0xfffull) | (address & (span - 1) & ~0xfffull);
				break;
			}
		}
		unit_keep(requester, entry[1] & 0xffff, address, at & 0xffffffffff000,
			(at & BIT(62)) != 0);
		e = unit_find(requester, address);
	}
	return e->to == (NO_ACCESS & ~0xfffull) || (write && !e->write) ? NO_ACCESS
									: e->to | (address & 0xfff);
}

/* Where a fixed interrupt message goes: vector | APIC ID << 8. */
static u64 interrupt(u32 requester, u32 address, u32 data)
{
	const u64 *entry = device(requester);
	u32 index = data & 0x7ff;
	u32 slot = 0;

	if (!entry || !(entry[2] & 1))
		return entry ? (data & 0xff) | (address >> 12 & 0xff) << 8 : NO_ACCESS;
	CHECK_EQ(entry[2] & 0xcff0000000000020, 0);
	if (entry[2] >> 60 == 0)
		return NO_ACCESS;
	CHECK_EQ(entry[2] >> 60, 2);
	if (index >= 1u << (entry[2] >> 1 & 15))
		return NO_ACCESS;
	while (slot < DEVICES - 1 && irtes[slot].valid &&
		(irtes[slot].function != requester || irtes[slot].index != index))
		slot++;
	if (!irtes[slot].valid) {
		irtes[slot].function = requester;
		irtes[slot].index = index;
		irtes[slot].valid = true;
		irtes[slot].value = ((u32 *)window_va(entry[2] & 0xfffffffffffc0))[index];
	}
	if (!(irtes[slot].value & 1))
		return NO_ACCESS;
	CHECK_EQ(irtes[slot].value & 0xfe, 0);
	return irtes[slot].value >> 16 | (irtes[slot].value >> 8 & 0xff) << 8;
}

TEST(start)
{
	begin(BOOT_IOMMU_INTREMAP);
	unit_set(AMDVI_CONTROL, BIT(0)); /* the firmware's */
	unit_set(AMDVI_EXCLUSION, 0x1003);
	iommu_init(3);
	CHECK_EQ(unit_get(AMDVI_EXCLUSION), 0);
	CHECK_EQ(unit_get(AMDVI_DEVICE_TABLE) & 0xfff, 4 * 2 - 1); /* buses 0 to 3 */
	CHECK_EQ(unit_get(AMDVI_CONTROL), BIT(0) | BIT(2) | BIT(3) | BIT(10) | BIT(12));
	CHECK_EQ(unit_message_address, 0xfee03000);
	CHECK_EQ(unit_message_data, VECTOR_IOMMU);
	CHECK_EQ(access(0x28, 0x1000, false), NO_ACCESS);
	CHECK_EQ(access(0x300, 0x1000, true), NO_ACCESS);
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x40), NO_ACCESS);
	CHECK_EQ(iommu_fence(0x28), FENCE_DMA | FENCE_INTERRUPTS);
	CHECK_EQ(iommu_fence(0x300), FENCE_DMA | FENCE_INTERRUPTS); /* as an alias */
	CHECK_EQ(iommu_fence(0x10), FENCE_DMA | FENCE_INTERRUPTS);
	CHECK_EQ(iommu_fence(0x280), 0);
	unit_end();
}

TEST(refused)
{
	begin(0);
	iommu_init(0);
	CHECK_EQ(iommu_fence(0x28), FENCE_DMA);
	CHECK_EQ(interrupt(0x28, 0xfee01000, 0x40), 0x140); /* not remapped */
	unit_end();
	begin(BOOT_IOMMU_INTREMAP);
	unit_set(AMDVI_FEATURES, 0);
	iommu_init(0);
	CHECK_EQ(iommu_fence(0x28), 0);
	CHECK_EQ(commands, 0);
	unit_end();
	begin(BOOT_IOMMU_INTREMAP);
	unit_info.iommus = 2;
	unit_info.iommu[1].type = BOOT_IOMMU_VTD;
	iommu_init(0);
	CHECK_EQ(iommu_fence(0x28), 0);
	unit_end();
}

TEST(windows)
{
	struct iommu_source a, b;
	struct ptable at, bt;
	u64 big = 0x40000000;

	begin(BOOT_IOMMU_INTREMAP);
	iommu_init(0);
	source_open(&a, &at, 0x28, 1);
	source_open(&b, &bt, 0x30, 2);
	CHECK_EQ(ptable_map(&at, 0x5000, 0x5000, 0x1000, PTABLE_READ, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(ptable_map(&at, big, big, 0x40200000, PTABLE_READ | PTABLE_WRITE, MEM_CACHE_WB),
		STATUS_OK);
	iommu_mapped(&a);
	CHECK_EQ(access(0x28, 0x5000, false), NO_ACCESS); /* not started */
	iommu_attach(&a, true);
	iommu_attach(&b, true);
	CHECK_EQ(access(0x28, 0x5678, false), 0x5678);
	CHECK_EQ(access(0x28, 0x5678, true), NO_ACCESS);
	CHECK_EQ(access(0x28, big + 0x3ffffff8, true), big + 0x3ffffff8);
	CHECK_EQ(access(0x28, big + 0x40123456, true), big + 0x40123456);
	CHECK_EQ(access(0x30, 0x5678, false), NO_ACCESS);
	CHECK_EQ(access(0x28, 0x6000, false), NO_ACCESS);
	CHECK_EQ(ptable_map(&at, 0x6000, 0x6000, 0x1000, PTABLE_READ, MEM_CACHE_WB), STATUS_OK);
	iommu_mapped(&a);
	CHECK_EQ(access(0x28, 0x6000, false), 0x6000);
	ptable_unmap(&at, 0x6000, 0x1000);
	CHECK_EQ(access(0x28, 0x6000, false), 0x6000); /* kept */
	iommu_unmapped(&a);
	CHECK_EQ(access(0x28, 0x6000, false), NO_ACCESS);
	iommu_attach(&a, false);
	CHECK_EQ(access(0x28, big, true), NO_ACCESS);
	iommu_attach(&a, true);
	CHECK_EQ(access(0x28, big, true), big);
	iommu_close(&a);
	CHECK_EQ(access(0x28, big, true), NO_ACCESS);
	iommu_close(&a);
	unit_end();
}

TEST(unknown_requester)
{
	struct iommu_source s = {.requester = 0x28, .domain = 1};
	struct ptable t = {0};

	begin(BOOT_IOMMU_INTREMAP);
	unit_info.iommu[0].flags |= BOOT_IOMMU_INCLUDE_ALL;
	iommu_init(0);
	s.requester = 0x400; /* behind the device table */
	CHECK_EQ(access(0x400, 0x1000, false), NO_ACCESS);
	CHECK_EQ(iommu_open(&s, &t, &boot_pool), STATUS_NOT_SUPPORTED);
	iommu_close(&s);
	iommu_free(&s, &boot_pool);
	unit_end();
}

TEST(interrupts)
{
	struct iommu_source a, b;
	struct ptable at, bt;

	begin(BOOT_IOMMU_INTREMAP);
	iommu_init(0);
	source_open(&a, &at, 0x28, 1);
	source_open(&b, &bt, 0x30, 2);
	CHECK_EQ(iommu_route(&a, 0x51, 3, false, true), 0);
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x51), 0x351);
	CHECK_EQ(interrupt(0x30, 0xfee00000, 0x51), NO_ACCESS); /* another's */
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x52), NO_ACCESS);
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x7ff), NO_ACCESS);
	CHECK_EQ(iommu_route(&a, 0x51, 256, false, true), IOMMU_NO_WAY);
	iommu_route(&a, 0x51, 4, false, true);
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x51), 0x451);
	iommu_route(&a, 0x51, 4, false, false);
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x51), NO_ACCESS);
	iommu_route(&a, 0x51, 4, false, true);
	iommu_close(&a);
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x51), NO_ACCESS);
	CHECK_EQ(iommu_route(&iommu_ioapics[0], 0x34, 1, true, true), 0);
	CHECK_EQ(interrupt(IOAPIC_ID, 0xfee00000, 0x34), 0x134);
	CHECK_EQ(access(IOAPIC_ID, 0x1000, true), NO_ACCESS);
	unit_end();
}

TEST(events)
{
	struct msg_dma_fault f;

	begin(BOOT_IOMMU_INTREMAP);
	iommu_init(0);
	CHECK(!iommu_fault(&f));
	for (u32 i = 0; i < 300; i++) { /* the log wraps */
		event(0x28 | 2ull << 60 | BIT(53), 0x5000);
		CHECK(iommu_fault(&f));
	}
	CHECK_EQ(f.function, 0x28);
	CHECK_EQ(f.kind, DMA_FAULT_ADDRESS);
	CHECK_EQ(f.address, 0x5000);
	CHECK_EQ(f.write, 1);
	event(0x30 | 2ull << 60 | BIT(51), 0xfee00000);
	CHECK(iommu_fault(&f));
	CHECK_EQ(f.kind, DMA_FAULT_INTERRUPT);
	event(0x30 | 1ull << 60, 0);
	CHECK(iommu_fault(&f));
	CHECK_EQ(f.kind, DMA_FAULT_OTHER);
	CHECK_EQ(f.reason, 1);
	event(0, 0); /* the unit has not written it yet */
	CHECK(!iommu_fault(&f));
	unit_set(AMDVI_EVENT_TAIL, unit_get(AMDVI_EVENT_HEAD));
	unit_set(AMDVI_STATUS, BIT(0)); /* it overflowed: it begins anew */
	CHECK(!iommu_fault(&f));
	CHECK_EQ(unit_get(AMDVI_EVENT_HEAD), 0);
	CHECK_EQ(unit_get(AMDVI_EVENT_TAIL), 0);
	CHECK(unit_get(AMDVI_CONTROL) & AMDVI_LOG_ENABLE);
	unit_end();
}
