/* The bits of the five page-table formats; see ptable_format.h. */
#include "mm/ptable_format.h"

/* Host and NPT: SDM vol. 3, 4.5.4; APM vol. 2, 5.3.3. */
#define HOST_P         BIT(0)
#define HOST_RW        BIT(1)
#define HOST_US        BIT(2)
#define HOST_PWT       BIT(3)
#define HOST_PCD       BIT(4)
#define HOST_PS        BIT(7) /* above level 1 */
#define HOST_PAT       BIT(7) /* in level 1 */
#define HOST_G         BIT(8)
#define HOST_PAT_LARGE BIT(12)
#define HOST_NX        BIT(63)

/* EPT: SDM vol. 3, 29.3.2, tables "Format of an EPT ... Entry". */
#define EPT_R       BIT(0)
#define EPT_W       BIT(1)
#define EPT_X       BIT(2)
#define EPT_TYPE(t) ((u64)(t) << 3) /* memory types as in MTRRs: SDM vol. 3, 12.11.1 */
#define EPT_LARGE   BIT(7)
#define TYPE_UC     0
#define TYPE_WC     1
#define TYPE_WT     4
#define TYPE_WB     6

/* VT-d second level: VT-d specification, 9.8. */
#define VTD_R   BIT(0)
#define VTD_W   BIT(1)
#define VTD_PS  BIT(7)
#define VTD_SNP BIT(11)

/* AMD-Vi host tables: IOMMU specification, 2.2.3. */
#define AMDVI_PR         BIT(0)
#define AMDVI_NEXT_LEVEL (7ull << 9) /* 0: a leaf of the size that its level gives */
#define AMDVI_FC         BIT(60)     /* force coherence */
#define AMDVI_IR         BIT(61)
#define AMDVI_IW         BIT(62)

/* The indices of PTABLE_PAT. */
#define PAT_CACHE(pat)                                                                             \
	{                                                                                          \
		[MEM_CACHE_WB] = 0, [MEM_CACHE_WC] = HOST_PWT,                                     \
		[MEM_CACHE_UC] = HOST_PCD | HOST_PWT, [MEM_CACHE_WT] = (pat) | HOST_PCD | HOST_PWT \
	}
#define EPT_CACHE                                                                                  \
	{                                                                                          \
		[MEM_CACHE_WB] = EPT_TYPE(TYPE_WB), [MEM_CACHE_UC] = EPT_TYPE(TYPE_UC),            \
		[MEM_CACHE_WC] = EPT_TYPE(TYPE_WC), [MEM_CACHE_WT] = EPT_TYPE(TYPE_WT)             \
	}
#define SNOOP_CACHE(bit)                                                                           \
	{                                                                                          \
		[MEM_CACHE_WB] = (bit), [MEM_CACHE_WT] = (bit)                                     \
	}

const struct ptable_layout ptable_layouts[] = {
	[PTABLE_HOST] =
		{
			.present = HOST_P,
			.table = HOST_P | HOST_RW | HOST_US,
			.size_mask = HOST_PS,
			.size_leaf = HOST_PS,
			.leaf = HOST_P,
			.write = HOST_RW,
			.no_exec = HOST_NX,
			.user = HOST_US,
			.global = HOST_G,
			.cache = PAT_CACHE(HOST_PAT),
			.cache_large = PAT_CACHE(HOST_PAT_LARGE),
			.levels_min = 4,
			.levels_max = 4,
			.canonical = true,
		},
	[PTABLE_EPT] =
		{
			.present = EPT_R | EPT_W | EPT_X,
			.table = EPT_R | EPT_W | EPT_X,
			.size_mask = EPT_LARGE,
			.size_leaf = EPT_LARGE,
			.leaf = EPT_R,
			.write = EPT_W,
			.exec = EPT_X,
			.cache = EPT_CACHE,
			.cache_large = EPT_CACHE,
			.levels_min = 4,
			.levels_max = 4,
		},
	[PTABLE_NPT] =
		{
			/* A nested walk is a user access: APM vol. 2, 15.25.5. */
			.present = HOST_P,
			.table = HOST_P | HOST_RW | HOST_US,
			.size_mask = HOST_PS,
			.size_leaf = HOST_PS,
			.leaf = HOST_P | HOST_US,
			.write = HOST_RW,
			.no_exec = HOST_NX,
			.cache = PAT_CACHE(HOST_PAT),
			.cache_large = PAT_CACHE(HOST_PAT_LARGE),
			.levels_min = 4,
			.levels_max = 4,
		},
	[PTABLE_VTD] =
		{
			.present = VTD_R | VTD_W,
			.table = VTD_R | VTD_W,
			.size_mask = VTD_PS,
			.size_leaf = VTD_PS,
			.leaf = VTD_R,
			.write = VTD_W,
			.snoop = VTD_SNP,
			.cache = SNOOP_CACHE(VTD_SNP),
			.cache_large = SNOOP_CACHE(VTD_SNP),
			.levels_min = 3,
			.levels_max = 4,
			.iommu = true,
		},
	[PTABLE_AMDVI] =
		{
			.present = AMDVI_PR,
			.table = AMDVI_PR | AMDVI_IR | AMDVI_IW,
			.level_unit = BIT(9),
			.size_mask = AMDVI_NEXT_LEVEL,
			.size_leaf = 0,
			.leaf = AMDVI_PR | AMDVI_IR,
			.write = AMDVI_IW,
			.cache = SNOOP_CACHE(AMDVI_FC),
			.cache_large = SNOOP_CACHE(AMDVI_FC),
			.levels_min = 1,
			.levels_max = 6,
			.iommu = true,
		},
};
