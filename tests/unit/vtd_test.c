/* Tests of the VT-d driver on a unit made up here: VT-d specification 4.1, 3.4, 5.1, 6.5, 9. */
#include "tests/unit/iommu_unit.h"
#include "vmx/vtd.h"

#define PMEN_EPM  BIT(31) /* protected memory is on (11.4.16) */
#define CAP_PLAIN (2ull | 1ull << 9 | 0x20ull << 24 | 3ull << 34 | 1ull << 40)
#define ECAP_ALL  (BIT(0) | BIT(1) | BIT(3) | BIT(7))
#define FAULTS    0x200u
#define IOAPIC_ID 0xf0f8u

#define POINTERS ((u32)VTD_SRTP | (u32)VTD_SIRTP)

static u32 head, status, last, commands;
static struct {
	u32 requester;
	u64 low, high;
	bool valid;
} contexts[16]; /* cached, absent ones too if the unit has caching mode */

static bool caching(void)
{
	return unit_get(VTD_CAP) & VTD_CAP_CM;
}

static void descriptor(const u64 *d)
{
	switch (d[0] & 15) {
	case 1: /* contexts: only the global kind is expected */
		CHECK_EQ(d[0], 0x11);
		memset(contexts, 0, sizeof(contexts));
		break;
	case 2:
		CHECK_EQ(d[1], 0);
		if ((d[0] >> 4 & 3) == 1)
			unit_forget_all();
		else
			unit_forget_domain((u32)(d[0] >> 16 & 0xffff));
		CHECK((d[0] >> 4 & 3) == 1 || ((d[0] >> 4 & 3) == 2 && (d[0] & 0xc0) == 0xc0));
		break;
	case 4:
		CHECK_EQ(d[0], 4);
		break;
	case 5:
		CHECK_EQ(d[0] & 0xfffffff0, 0x60);
		__atomic_store_n((u32 *)window_va(d[1]), (u32)(d[0] >> 32), __ATOMIC_SEQ_CST);
		break;
	default:
		CHECK(false);
	}
}

static void step(void)
{
	u32 command = unit_get32(VTD_GCMD);
	u64 tail = unit_get(VTD_IQT);

	if (command != last) {
		u32 changed = ((command ^ status) & ~POINTERS) | (command & POINTERS);

		CHECK((changed & (changed - 1)) == 0); /* one at a time */
		if (changed & command & (u32)VTD_QIE)
			head = 0;
		last = command;
		status = (command & ~POINTERS) | ((status | command) & POINTERS);
		commands++;
		unit_set32(VTD_GSTS, status);
	}
	for (; status & (u32)VTD_QIE && head != tail / 16; head = (head + 1) % 256)
		descriptor((u64 *)window_va((unit_get(VTD_IQA) & ~0xfffull) + head * 16ull));
}

static void begin_with(u64 cap, u64 ecap, u32 on)
{
	head = commands = 0;
	last = status = on;
	memset(contexts, 0, sizeof(contexts));
	unit_begin(BOOT_IOMMU_VTD);
	unit_info.ioapics = 1;
	unit_info.ioapic[0] = (struct boot_ioapic){0xfec00000, 0, 8};
	unit_info.iommu[0].scopes = 1;
	unit_info.iommu[0].scope[0] =
		(struct boot_iommu_scope){IOAPIC_ID, IOAPIC_ID, BOOT_SCOPE_IOAPIC << 16 | 8};
	unit_set(VTD_CAP, cap);
	unit_set(VTD_ECAP, ecap);
	unit_set32(VTD_GCMD, on);
	unit_set32(VTD_GSTS, on);
	unit_run(step);
}

static void begin(u64 cap, u64 ecap)
{
	begin_with(cap, ecap, 0);
}

static void fault(u32 requester, u64 address, bool write, u32 reason)
{
	unit_set(FAULTS, address & ~0xfffull);
	unit_set(FAULTS + 8, requester | (u64)reason << 32 | (write ? 0 : BIT(62)) | BIT(63));
}

/* Where an access of the requester goes, with all that the unit keeps; NO_ACCESS: it faults. */
static u64 access(u32 requester, u64 address, bool write)
{
	struct unit_entry *e = unit_find(requester, address);
	const u64 *table;
	u64 entry = 0;
	u64 low = 0, high = 0;
	u32 level;
	u32 slot = 0;

	if (!(status & (u32)VTD_TE))
		return address;
	while (slot < 15 && contexts[slot].valid && contexts[slot].requester != requester)
		slot++;
	if (contexts[slot].valid) {
		low = contexts[slot].low;
		high = contexts[slot].high;
	} else {
		const u64 *root = window_va(unit_get(VTD_RTADDR));

		entry = root[(requester >> 8) * 2];
		if (entry & 1) {
			table = window_va(entry & ~0xfffull);
			low = table[(requester & 0xff) * 2];
			high = table[(requester & 0xff) * 2 + 1];
		}
		if (low & 1 || caching()) {
			contexts[slot].requester = requester;
			contexts[slot].low = low;
			contexts[slot].high = high;
			contexts[slot].valid = true;
		}
	}
	if (!(low & 1)) {
		fault(requester, address, write, 2);
		return NO_ACCESS;
	}
	CHECK_EQ(low & 0xffe, 0); /* no fault suppressed, untranslated requests only */
	if (!e || e->domain != (high >> 8 & 0xffff)) {
		u64 span;

		level = (u32)(high & 7) + 2;
		CHECK(unit_get(VTD_CAP) >> 8 & BIT(high & 7));
		table = window_va(low & ~0xfffull);
		for (;; level--) {
			span = 1ull << (12 + 9 * (level - 1));
			entry = table[address / span & 511];
			if (!(entry & 3) || level == 1 || entry & BIT(7))
				break;
			table = window_va(entry & 0xffffffffff000);
		}
		if (!(entry & 3) && !caching()) {
			fault(requester, address, write, write ? 5 : 6);
			return NO_ACCESS;
		}
		unit_keep(requester, high >> 8 & 0xffff, address,
			entry & 3 ? (entry & 0xffffffffff000 & ~(span - 1)) | (address & (span - 1))
				  : NO_ACCESS,
			(entry & 2) != 0);
		e = unit_find(requester, address);
	}
	if (e->to == (NO_ACCESS & ~0xfffull) || (write && !e->write)) {
		fault(requester, address, write, write ? 5 : 6);
		return NO_ACCESS;
	}
	return e->to | (address & 0xfff);
}

/* Where an interrupt message of the requester goes: vector | APIC ID << 8, or NO_ACCESS. */
static u64 interrupt(u32 requester, u32 address, u32 data)
{
	const u64 *entry;
	u32 index = (address >> 5 & 0x7fff) | (address >> 2 & 1) << 15;

	(void)data;
	if (!(status & (u32)VTD_IRE))
		return (data & 0xff) | (address >> 12 & 0xff) << 8;
	if (!(address & BIT(4)))
		return status & (u32)VTD_CFI ? data : NO_ACCESS;
	CHECK(!(address & BIT(3)));
	CHECK_EQ(unit_get(VTD_IRTA) & 15, 7);
	if (index >= 256)
		return NO_ACCESS;
	entry = (u64 *)window_va(unit_get(VTD_IRTA) & ~0xfffull) + index * 2ull;
	if (!(entry[0] & 1) || (entry[1] >> 18 & 3) != 1 || (entry[1] & 0xffff) != requester)
		return NO_ACCESS;
	CHECK_EQ(entry[0] & 0xffee, 0); /* fixed, physical, edge or level */
	if (unit_get(VTD_IRTA) & BIT(11))
		return (entry[0] >> 16 & 0xff) | entry[0] >> 32 << 8;
	return (entry[0] >> 16 & 0xff) | (entry[0] >> 40 & 0xff) << 8;
}

static u32 message(u32 way)
{
	return 0xfee00000 | way << 4;
}

TEST(start)
{
	begin(CAP_PLAIN, ECAP_ALL);
	unit_set32(VTD_PMEN, (u32)PMEN_EPM);
	iommu_init(3);
	CHECK_EQ(status & ~POINTERS, (u32)VTD_TE | (u32)VTD_IRE | (u32)VTD_QIE);
	CHECK_EQ(unit_get32(VTD_FEDATA), VECTOR_IOMMU);
	CHECK_EQ(unit_get32(VTD_FEADDR), 0xfee03000);
	CHECK_EQ(access(0x28, 0x1000, false), NO_ACCESS); /* all are blocked */
	CHECK_EQ(access(0xff00, 0x1000, false), NO_ACCESS);
	CHECK_EQ(interrupt(0x28, 0xfee00000, 0x40), NO_ACCESS);
	CHECK_EQ(iommu_fence(0x28), FENCE_DMA | FENCE_INTERRUPTS);
	CHECK_EQ(iommu_fence(0x10028), 0); /* another segment */
	unit_end();
}

/* The firmware left it on: DMA is not free for a moment. */
TEST(left_on)
{
	begin_with(CAP_PLAIN, ECAP_ALL, (u32)VTD_TE | (u32)VTD_QIE | (u32)VTD_CFI);
	iommu_init(0);
	CHECK(status & (u32)VTD_TE);
	CHECK_EQ(commands, 6); /* queue off and on, two pointers, format, interrupts on */
	CHECK(!(status & (u32)VTD_CFI));
	CHECK_EQ(access(0x28, 0x1000, false), NO_ACCESS);
	unit_end();
}

TEST(refused)
{
	begin(CAP_PLAIN, ECAP_ALL & ~BIT(1));
	iommu_init(0);
	CHECK_EQ(commands, 0);
	CHECK_EQ(iommu_fence(0x28), 0);
	unit_end();
	begin(CAP_PLAIN & ~BIT(9), ECAP_ALL);
	iommu_init(0);
	CHECK_EQ(iommu_fence(0x28), 0);
	unit_end();
	begin(CAP_PLAIN, ECAP_ALL & ~BIT(3));
	iommu_init(0);
	CHECK_EQ(iommu_fence(0x28), FENCE_DMA);
	CHECK(!(status & (u32)VTD_IRE));
	unit_end();
	begin(CAP_PLAIN, ECAP_ALL);
	unit_info.ioapic[0].id = 9; /* no unit knows it: its lines could not be remapped */
	iommu_init(0);
	CHECK_EQ(iommu_fence(0x28), FENCE_DMA);
	unit_end();
}

static void windows(u64 cap, u64 ecap)
{
	struct iommu_source a, b;
	struct ptable at, bt;
	u64 big = 0x40000000;

	begin(cap, ecap);
	iommu_init(0);
	source_open(&a, &at, 0x28, 1);
	source_open(&b, &bt, 0x30, 2);
	CHECK_EQ(at.levels, cap & VTD_CAP_48BIT ? 4 : 3);
	CHECK_EQ(access(0x28, 0x5000, false), NO_ACCESS); /* kept as absent in caching mode */
	CHECK_EQ(ptable_map(&at, 0x5000, 0x5000, 0x1000, PTABLE_READ, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(ptable_map(&at, big, big, 0x40000000, PTABLE_READ | PTABLE_WRITE, MEM_CACHE_WB),
		STATUS_OK);
	iommu_mapped(&a);
	CHECK_EQ(access(0x28, 0x5000, false), NO_ACCESS); /* not started */
	iommu_attach(&a, true);
	iommu_attach(&b, true);
	CHECK_EQ(access(0x28, 0x5678, false), 0x5678);
	CHECK_EQ(access(0x28, 0x5678, true), NO_ACCESS);
	CHECK_EQ(access(0x28, big + 0x3ffffff8, true), big + 0x3ffffff8);
	CHECK_EQ(access(0x28, 0x6000, false), NO_ACCESS);
	CHECK_EQ(access(0x30, 0x5678, false), NO_ACCESS);
	CHECK_EQ(ptable_map(&at, 0x6000, 0x6000, 0x1000, PTABLE_READ, MEM_CACHE_WB), STATUS_OK);
	iommu_mapped(&a);
	CHECK_EQ(access(0x28, 0x6000, false), 0x6000);
	CHECK_EQ(access(0x28, 0x5678, false), 0x5678);
	ptable_unmap(&at, 0x5000, 0x1000);
	CHECK_EQ(access(0x28, 0x5678, false), 0x5678); /* kept, which shows that the unit keeps */
	iommu_unmapped(&a);
	CHECK_EQ(access(0x28, 0x5678, false), NO_ACCESS);
	iommu_attach(&a, false);
	CHECK_EQ(access(0x28, big, true), NO_ACCESS);
	iommu_attach(&a, true);
	CHECK_EQ(access(0x28, big, true), big);
	iommu_close(&a);
	CHECK_EQ(access(0x28, big, true), NO_ACCESS);
	iommu_close(&a);
	unit_end();
}

TEST(windows_plain)
{
	windows(CAP_PLAIN, ECAP_ALL);
}

TEST(windows_caching)
{
	windows(CAP_PLAIN | VTD_CAP_CM, ECAP_ALL);
}

TEST(windows_small)
{
	windows((CAP_PLAIN & ~(3ull << 34)) | VTD_CAP_48BIT, ECAP_ALL & ~(BIT(0) | BIT(7)));
}

TEST(domains_run_out)
{
	struct iommu_source s = {.requester = 0x28, .domain = 16};
	struct ptable t = {0};

	begin(CAP_PLAIN & ~7ull, ECAP_ALL); /* 16 of them */
	iommu_init(0);
	CHECK_EQ(iommu_open(&s, &t, &boot_pool), STATUS_NO_SPACE);
	s.domain = 15;
	CHECK_EQ(iommu_open(&s, &t, &boot_pool), STATUS_OK);
	unit_end();
}

TEST(interrupts)
{
	struct iommu_source a, b;
	struct ptable at, bt;
	u32 way;

	begin(CAP_PLAIN, ECAP_ALL);
	iommu_init(0);
	source_open(&a, &at, 0x28, 1);
	source_open(&b, &bt, 0x30, 2);
	way = iommu_route(&a, 0x51, 3, false, true);
	CHECK_EQ(interrupt(0x28, message(way), 0x51), 0x351);
	CHECK_EQ(interrupt(0x30, message(way), 0x51), NO_ACCESS); /* forged */
	CHECK_EQ(interrupt(0x28, 0xfee03000, 0x51), NO_ACCESS);   /* compatibility format */
	CHECK_EQ(interrupt(0x28, message(way) + 32, 0x51), NO_ACCESS);
	CHECK_EQ(iommu_route(&b, 0x52, 256, false, true), IOMMU_NO_WAY);
	CHECK_EQ(iommu_route(&a, 0x51, 3, false, false), way);
	CHECK_EQ(interrupt(0x28, message(way), 0x51), NO_ACCESS);
	iommu_route(&a, 0x51, 4, false, true);
	CHECK_EQ(interrupt(0x28, message(way), 0x51), 0x451);
	iommu_close(&a);
	CHECK_EQ(interrupt(0x28, message(way), 0x51), NO_ACCESS);
	way = iommu_route(
		&iommu_ioapics[0], 0x34, 1, true, true); /* as 63:48 of the line's entry */
	CHECK_EQ(way & 1, 1);
	CHECK_EQ(interrupt(IOAPIC_ID, 0xfee00000 | (way >> 1) << 5 | BIT(4), 0x34), 0x134);
	CHECK(*((u64 *)window_va(unit_get(VTD_IRTA) & ~0xfffull) + 2 * 0x34) & BIT(4));
	unit_end();
}

TEST(interrupts_wide)
{
	struct iommu_source a;
	struct ptable at;
	u32 way;

	begin(CAP_PLAIN, ECAP_ALL | VTD_ECAP_EIM);
	features.x2apic = true;
	iommu_init(0x12345);
	CHECK_EQ(unit_get32(VTD_FEADDR), 0xfee45000);
	CHECK_EQ(unit_get32(VTD_FEUADDR), 0x12300);
	source_open(&a, &at, 0x28, 1);
	way = iommu_route(&a, 0x51, 0x1234, false, true);
	CHECK_EQ(interrupt(0x28, message(way), 0x51), 0x123451);
	unit_end();
}

TEST(faults)
{
	struct msg_dma_fault f;

	begin(CAP_PLAIN, ECAP_ALL);
	iommu_init(0);
	CHECK(!iommu_fault(&f));
	CHECK_EQ(access(0x128, 0x12345678, true), NO_ACCESS);
	CHECK(iommu_fault(&f));
	CHECK_EQ(f.function, 0x128);
	CHECK_EQ(f.kind, DMA_FAULT_BLOCKED);
	CHECK_EQ(f.address, 0x12345000);
	CHECK_EQ(f.write, 1);
	/* the fake's record is not of the kind that a 1 clears: the driver wrote bit 127 back */
	CHECK_EQ(unit_get32(FAULTS + 12), BIT(31));
	fault(0x28, 0x2000, false, 6);
	CHECK(iommu_fault(&f));
	CHECK_EQ(f.kind, DMA_FAULT_ADDRESS);
	CHECK_EQ(f.write, 0);
	fault(0x28, 0x51ull << 48, false, 0x26);
	CHECK(iommu_fault(&f));
	CHECK_EQ(f.kind, DMA_FAULT_INTERRUPT);
	fault(0x28, 0, false, 0x0b);
	CHECK(iommu_fault(&f));
	CHECK_EQ(f.kind, DMA_FAULT_OTHER);
	CHECK_EQ(f.reason, 0x0b);
	unit_end();
}

/* Regions that the firmware keeps open to a function: crafted, never met on a machine. */
TEST(reserved)
{
	struct iommu_source a;
	struct ptable t = {0};

	begin(CAP_PLAIN, ECAP_ALL);
	unit_info.ranges = 2;
	unit_info.range[0] = (struct boot_range){0x100000, 0x7f00000, BOOT_RANGE_FREE, 0};
	unit_info.range[1] = (struct boot_range){0x8000000, 0x100000, BOOT_RANGE_RESERVED, 0};
	unit_info.dma_reserved_count = 3;
	unit_info.dma_reserved[0] = (struct boot_dma_reserved){0x8000000, 0x4000, 0, 0x28, 0x28, 0};
	unit_info.dma_reserved[1] = (struct boot_dma_reserved){0x8002000, 0x4000, 0, 0, 0xffff, 0};
	unit_info.dma_reserved[2] = (struct boot_dma_reserved){0x7fff000, 0x2000, 0, 0x30, 0x37, 0};
	iommu_init(0);
	source_open(&a, &t, 0x28, 1);
	CHECK_EQ(access(0x28, 0x8000000, true), NO_ACCESS); /* until its start */
	iommu_attach(&a, true);
	CHECK_EQ(access(0x28, 0x8000000, true), 0x8000000);
	CHECK_EQ(access(0x28, 0x8005fff, true), 0x8005fff); /* of two that overlap */
	CHECK_EQ(access(0x28, 0x8006000, true), NO_ACCESS);
	t = (struct ptable){0};
	a = (struct iommu_source){.requester = 0x31, .domain = 2}; /* the third is in use */
	CHECK_EQ(iommu_open(&a, &t, &boot_pool), STATUS_DENIED);
	iommu_close(&a);
	iommu_free(&a, &boot_pool);
	a = (struct iommu_source){.requester = 0x38, .domain = 2};
	CHECK_EQ(iommu_open(&a, &t, &boot_pool), STATUS_OK);
	unit_end();
}
