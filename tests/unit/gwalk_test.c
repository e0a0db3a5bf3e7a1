/* Page walks of the guest against tables made by hand, and against garbage. */
#include <stdlib.h>
#include "guests/vmm/cpu/gwalk.h"
#include "guests/vmm/cpu/x86.h"
#include "tests/unit/test.h"

#define RAM 0x400000ull
#define P   BIT(0)
#define RW  BIT(1)
#define US  BIT(2)
#define A   BIT(5)
#define D   BIT(6)
#define PS  BIT(7)
#define NX  BIT(63)

static u8 ram[RAM] __attribute__((aligned(4096)));
static struct gmem memory;

static void setup(void)
{
	memset(ram, 0, sizeof(ram));
	memory = (struct gmem){0};
	CHECK(gmem_add(&memory, 0, RAM, ram));
}

static void put64(gpa_t at, u64 value)
{
	memcpy(ram + at, &value, 8);
}

static void put32(gpa_t at, u32 value)
{
	memcpy(ram + at, &value, 4);
}

static u64 get64(gpa_t at)
{
	u64 value;

	memcpy(&value, ram + at, 8);
	return value;
}

static const struct gwalk_mode mode_64 = {
	CR0_PE | CR0_PG | CR0_WP, 0x1000, CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE, 0, 40};

#define LINEAR 0x7fc0201234ull /* index 0, 511, 1, 1, offset 0x234 */

static void map_4k(u64 top, u64 leaf)
{
	put64(0x1000, 0x2000 | top);
	put64(0x2000 + 511 * 8, 0x3000 | P | RW | US);
	put64(0x3000 + 1 * 8, 0x4000 | P | RW | US);
	put64(0x4000 + 1 * 8, leaf);
}

static bool walk(const struct gwalk_mode *mode, u32 access, gpa_t *gpa, u32 *error)
{
	return gwalk(&memory, mode, LINEAR, access, gpa, error);
}

TEST(gwalk_4level)
{
	gpa_t gpa;
	u32 error;

	setup();
	map_4k(P | RW | US, 0x123456000 | P | RW | US);
	CHECK(walk(&mode_64, GWALK_PEEK, &gpa, &error));
	CHECK_EQ(get64(0x4008) & (A | D), 0);
	CHECK(walk(&mode_64, GWALK_USER, &gpa, &error));
	CHECK_EQ(gpa, 0x123456234);
	CHECK_EQ(get64(0x1000) & (A | D), A);
	CHECK_EQ(get64(0x4008) & (A | D), A);
	CHECK(walk(&mode_64, GWALK_WRITE, &gpa, &error));
	CHECK_EQ(get64(0x4008) & (A | D), A | D);
	CHECK_EQ(get64(0x3008) & D, 0);
}

TEST(gwalk_rights)
{
	struct gwalk_mode mode = mode_64;
	gpa_t gpa;
	u32 error;

	setup();
	map_4k(P | RW, 0x5000 | P | US | NX); /* supervisor, read-only, no execution */
	CHECK(walk(&mode, 0, &gpa, &error));
	CHECK(!walk(&mode, GWALK_USER, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_USER);
	CHECK(!walk(&mode, GWALK_WRITE, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_WRITE);
	CHECK(!walk(&mode, GWALK_FETCH, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_FETCH);
	mode.cr0 &= ~CR0_WP;
	CHECK(walk(&mode, GWALK_WRITE, &gpa, &error));
	CHECK(!walk(&mode, GWALK_WRITE | GWALK_USER, &gpa, &error));
	mode.efer &= ~EFER_NXE; /* NX is reserved then */
	CHECK(!walk(&mode, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
}

TEST(gwalk_smep_smap)
{
	struct gwalk_mode mode = mode_64;
	gpa_t gpa;
	u32 error;

	setup();
	map_4k(P | RW | US, 0x5000 | P | RW | US);
	mode.cr4 |= CR4_SMEP | CR4_SMAP;
	CHECK(!walk(&mode, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT);
	CHECK(!walk(&mode, GWALK_FETCH, &gpa, &error));
	CHECK(walk(&mode, GWALK_USER, &gpa, &error));
	CHECK(walk(&mode, GWALK_USER | GWALK_FETCH, &gpa, &error));
	mode.rflags = RFLAGS_AC;
	CHECK(walk(&mode, 0, &gpa, &error));
	CHECK(!walk(&mode, GWALK_FETCH, &gpa, &error));
}

TEST(gwalk_not_present)
{
	gpa_t gpa;
	u32 error;

	setup();
	map_4k(P | RW | US, 0);
	CHECK(!walk(&mode_64, GWALK_WRITE | GWALK_USER, &gpa, &error));
	CHECK_EQ(error, PF_WRITE | PF_USER);
}

TEST(gwalk_large_pages)
{
	gpa_t gpa;
	u32 error;

	setup();
	put64(0x1000, 0x2000 | P | RW);
	put64(0x2000 + 511 * 8, 0xc0000000 | P | RW | PS);
	CHECK(walk(&mode_64, 0, &gpa, &error));
	CHECK_EQ(gpa, 0xc0000000 + (LINEAR & 0x3fffffff));
	put64(0x2000 + 511 * 8, 0xc0002000 | P | RW | PS); /* a bit below the page's size */
	CHECK(!walk(&mode_64, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
	put64(0x2000 + 511 * 8, 0x3000 | P | RW);
	put64(0x3008, 0x200000 | P | RW | PS);
	CHECK(walk(&mode_64, 0, &gpa, &error));
	CHECK_EQ(gpa, 0x200000 + (LINEAR & 0x1fffff));
	put64(0x1000, 0x2000 | P | RW | PS); /* not in the top level */
	CHECK(!walk(&mode_64, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
}

TEST(gwalk_tables_outside_ram)
{
	gpa_t gpa;
	u32 error;

	setup();
	put64(0x1000, (RAM + 0x1000) | P | RW);
	CHECK(!walk(&mode_64, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
	put64(0x1000, BIT(45) | P | RW); /* beyond the guest's physical addresses */
	CHECK(!walk(&mode_64, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
}

TEST(gwalk_32bit)
{
	struct gwalk_mode mode = {CR0_PE | CR0_PG, 0x1000, CR4_PSE, 0, 0, 40};
	gpa_t gpa;
	u32 error;

	setup();
	put32(0x1000 + 0x300 * 4, 0x2000 | P | RW | US);
	put32(0x2000 + 5 * 4, 0x7000 | P | RW | US);
	CHECK(gwalk(&memory, &mode, 0xc0005678, 0, &gpa, &error));
	CHECK_EQ(gpa, 0x7678);
	put32(0x1000 + 0x300 * 4, 0x00c00000 | 0x1 << 13 | P | RW | PS); /* PSE-36: bit 32 */
	CHECK(gwalk(&memory, &mode, 0xc0005678, GWALK_WRITE, &gpa, &error));
	CHECK_EQ(gpa, 0x100c05678);
	put32(0x1000 + 0x300 * 4, 0x00e00000 | P | RW | PS); /* bit 21 */
	CHECK(!gwalk(&memory, &mode, 0xc0005678, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
}

TEST(gwalk_pae)
{
	struct gwalk_mode mode = {CR0_PE | CR0_PG, 0x1020, CR4_PAE, EFER_NXE, 0, 40};
	gpa_t gpa;
	u32 error;

	setup();
	put64(0x1020 + 3 * 8, 0x2000 | P);
	put64(0x2000, 0x3000 | P | RW);
	put64(0x3000 + 5 * 8, 0x7000 | P | RW | NX);
	CHECK(gwalk(&memory, &mode, 0xc0005678, GWALK_WRITE, &gpa, &error));
	CHECK_EQ(gpa, 0x7678);
	CHECK_EQ(get64(0x1020 + 3 * 8) & A, 0);
	CHECK(!gwalk(&memory, &mode, 0xc0005678, GWALK_FETCH, &gpa, &error));
	put64(0x1020 + 3 * 8, 0x2000 | P | A); /* as an emulator leaves it */
	CHECK(gwalk(&memory, &mode, 0xc0005678, GWALK_WRITE, &gpa, &error));
	put64(0x1020 + 3 * 8, 0x2000 | P | RW); /* reserved there */
	CHECK(!gwalk(&memory, &mode, 0xc0005678, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
}

TEST(gwalk_paging_off)
{
	struct gwalk_mode mode = {.cr0 = CR0_PE, .gpa_bits = 40};
	gpa_t gpa;
	u32 error;

	CHECK(gwalk(&memory, &mode, 0xdeadbeef, GWALK_WRITE, &gpa, &error));
	CHECK_EQ(gpa, 0xdeadbeef);
}

/* Random tables, registers and addresses: the answer may be anything, but nothing outside RAM is
 * touched. */
TEST(gwalk_garbage)
{
	u32 hits = 0;

	setup();
	srand(1);
	for (u32 i = 0; i < sizeof(ram) / 8; i++)
		put64(i * 8ull,
			((u64)rand() << 40 ^ (u64)rand() << 12 ^ (u64)rand()) & (RAM * 2 - 1));
	for (u32 i = 0; i < 200000; i++) {
		struct gwalk_mode mode = {CR0_PE | CR0_PG | (rand() & 1 ? CR0_WP : 0),
			(u64)rand() << 20 ^ (u64)rand(), rand() & (CR4_PAE | CR4_PSE | CR4_SMAP), 0,
			0, 40};
		gpa_t gpa;
		u32 error;

		if (rand() & 1)
			mode.cr3 &= RAM - 1;
		if (mode.cr4 & CR4_PAE && rand() & 1)
			mode.efer = EFER_LMA | EFER_LME | EFER_NXE;
		hits += gwalk(
			&memory, &mode, (u64)rand() << 17 ^ (u64)rand(), rand() & 15, &gpa, &error);
	}
	CHECK(hits > 0);
}

TEST(gmem_ranges)
{
	struct gmem g = {0};
	static u8 a[8 * PAGE_SIZE];

	CHECK(gmem_add(&g, 0x4000, 0x2000, a + 0x4000));
	CHECK(!gmem_add(&g, 0x5000, 0x2000, a));
	CHECK(!gmem_add(&g, 0x3000, 0x2000, a));
	CHECK(!gmem_add(&g, 0x1001, 0x1000, a));
	CHECK(!gmem_add(&g, 0x1000, 0, a));
	CHECK(!gmem_add(&g, -(u64)0x1000, 0x2000, a));
	CHECK(gmem_add(&g, 0x1000, 0x1000, a)); /* elsewhere in the host */
	CHECK_EQ(g.ranges, 2);
	CHECK(gmem_add(&g, 0x3000, 0x1000, a + 0x3000)); /* continues the first */
	CHECK_EQ(g.ranges, 2);
	CHECK_EQ(gmem_total(&g), 0x4000);
	CHECK(gmem_at(&g, 0x3fff, 2) == a + 0x3fff);
	CHECK(gmem_at(&g, 0x5fff, 2) == NULL);
	CHECK(gmem_at(&g, 0x2000, 1) == NULL);
	CHECK(gmem_at(&g, 0x4000, ~0ull) == NULL);
	CHECK(gmem_at(&g, ~0ull, 2) == NULL);
}

TEST(gwalk_5level)
{
	struct gwalk_mode mode = mode_64;
	const u64 top = LINEAR | 3ull << 48;
	gpa_t gpa;
	u32 error;

	setup();
	map_4k(P | RW | US, 0x123456000 | P | RW | US);
	put64(0x5000 + 3 * 8, 0x1000 | P | RW | US);
	mode.cr4 |= CR4_LA57;
	mode.cr3 = 0x5000;
	CHECK(gwalk(&memory, &mode, top, GWALK_WRITE, &gpa, &error));
	CHECK_EQ(gpa, 0x123456234);
	CHECK_EQ(get64(0x5000 + 3 * 8) & (A | D), A);
	CHECK_EQ(get64(0x4008) & (A | D), A | D);
	CHECK(!walk(&mode, 0, &gpa, &error));
	CHECK_EQ(error, 0);
	put64(0x5000 + 3 * 8, 0x1000 | P | RW | US | PS);
	CHECK(!gwalk(&memory, &mode, top, 0, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_RESERVED);
	put64(0x5000 + 3 * 8, 0x1000 | P | RW);
	CHECK(!gwalk(&memory, &mode, top, GWALK_USER, &gpa, &error));
	CHECK_EQ(error, PF_PRESENT | PF_USER);
}
