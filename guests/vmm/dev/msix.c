/* MSI-X tables: see msix.h. */
#include "guests/vmm/dev/msix.h"

/* Offsets in an entry (6.8.2.7). */
#define ENTRY_LOW   0u
#define ENTRY_HIGH  4u
#define ENTRY_DATA  8u
#define ADDRESS_LOW 0xfffffffcull
#define WORD        4u
#define MSIX_BYTES  12 /* of the capability */

u8 msix_add(struct pci_function *f, u32 vectors, u32 table, u32 pba)
{
	u8 at = pci_add_capability(f, MSIX_CAPABILITY, MSIX_BYTES);

	if (!at)
		return 0;
	pci_set(f, at + MSIX_CONTROL, 2, vectors - 1, MSIX_ENABLE | MSIX_MASK);
	pci_set(f, at + MSIX_TABLE, 4, table, 0);
	pci_set(f, at + MSIX_PBA, 4, pba, 0);
	return at;
}

u32 msix_table_read(const struct msix_vector *table, u32 count, u32 offset, unsigned size)
{
	const struct msix_vector *v;

	if (size != WORD || offset % WORD || offset / MSIX_ENTRY >= count)
		return 0;
	v = &table[offset / MSIX_ENTRY];
	switch (offset % MSIX_ENTRY) {
	case ENTRY_LOW:
		return (u32)v->address;
	case ENTRY_HIGH:
		return (u32)(v->address >> 32);
	case ENTRY_DATA:
		return v->data;
	default:
		return v->control;
	}
}

u32 msix_table_write(struct msix_vector *table, u32 count, u32 offset, unsigned size, u32 value)
{
	struct msix_vector *v;

	if (size != WORD || offset % WORD || offset / MSIX_ENTRY >= count)
		return MSIX_NONE;
	v = &table[offset / MSIX_ENTRY];
	switch (offset % MSIX_ENTRY) {
	case ENTRY_LOW:
		v->address = (v->address & ~(u64)UINT32_MAX) | (value & ADDRESS_LOW);
		return MSIX_NONE;
	case ENTRY_HIGH:
		v->address = (v->address & UINT32_MAX) | (u64)value << 32;
		return MSIX_NONE;
	case ENTRY_DATA:
		v->data = value;
		return MSIX_NONE;
	default:
		v->control = value & MSIX_VECTOR_MASKED;
		return offset / MSIX_ENTRY;
	}
}

bool msix_sendable(const struct pci_function *f, u8 capability, const struct msix_vector *entry)
{
	u32 control = pci_get(f, (u8)(capability + MSIX_CONTROL), 2);

	return (control & (MSIX_ENABLE | MSIX_MASK)) == MSIX_ENABLE && pci_is_master(f) &&
	       !(entry->control & MSIX_VECTOR_MASKED);
}
