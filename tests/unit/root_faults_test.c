/* Tests of an IOMMU's faults in words. */
#include <string.h>
#include "drivers/root/faults.h"
#include "tests/unit/test.h"

static bool says(struct msg_dma_fault f, const char *owner, const char *text)
{
	char line[FAULT_LINE];

	fault_text(&f, owner, line);
	if (strcmp(line, text) == 0)
		return true;
	printf("%s\n", line);
	return false;
}

TEST(words)
{
	CHECK(says((struct msg_dma_fault){0x28, DMA_FAULT_ADDRESS, 0x5000, 5, 1}, "net",
		"net: PCI function 00:05.0 tried to write memory at 0x5000, which it was not given "
		"for that"));
	CHECK(says((struct msg_dma_fault){0x129, DMA_FAULT_BLOCKED, 0x5000, 2, 0}, NULL,
		"nobody's: PCI function 01:05.1 tried to read memory at 0x5000 while its DMA was "
		"not started"));
	CHECK(says((struct msg_dma_fault){0x28, DMA_FAULT_INTERRUPT, 0, 0x26, 1}, "net",
		"net: PCI function 00:05.0 tried to send an interrupt that is not its own"));
	CHECK(says((struct msg_dma_fault){0x28, DMA_FAULT_OTHER, ~0ull, ~0u, 1},
		"a-name-of-thirty-one-characters",
		"a-name-of-thirty-one-characters: PCI function 00:05.0 was stopped by the IOMMU at "
		"0xffffffffffffffff (code 4294967295)"));
}

TEST(what_counts)
{
	const struct {
		u32 kind;
		bool counts;
	} cases[] = {
		{DMA_FAULT_ADDRESS, true},
		{DMA_FAULT_INTERRUPT, true},
		{DMA_FAULT_BLOCKED, false},
		{DMA_FAULT_OTHER, false},
	};

	for (u32 i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(fault_counts(&(struct msg_dma_fault){.kind = cases[i].kind}) ==
			cases[i].counts);
}
