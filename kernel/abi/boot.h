/*
 * What the loader hands to the kernel, and the kernel (read-only) to root: one flat structure.
 *
 * At entry: 64-bit mode, interrupts off, CR3 = temporary tables of the loader that map
 *  - the first 4 GiB one to one (writable, executable; for the loader's last instructions only);
 *  - the kernel block (see struct boot_info) at BOOT_WINDOW + its physical address, writable;
 *  - the kernel block's first bytes, where the image lies, at KERNEL_BASE;
 * RDI = BOOT_WINDOW + physical address of struct boot_info, every other register undefined,
 * EFER.NXE on. The kernel builds its own tables before anything else.
 */
#pragma once

#include "types.h"

#define BOOT_MAGIC       0x544f4f42444b4842ull /* "BHKDBOOT" */
#define BULKHEAD_ABI     1                     /* version of everything in kernel/abi */
#define KERNEL_BASE      0xffffffff80000000ull /* where the kernel image is linked */
#define BOOT_WINDOW      0xffff800000000000ull /* kernel-owned frames appear here + paddr */
#define BOOT_BLOCK_ALIGN 0x200000ull           /* alignment of the kernel block */

#define BOOT_MAX_CPUS      256
#define BOOT_MAX_RANGES    512
#define BOOT_MAX_FILES     64
#define BOOT_MAX_IOAPICS   16
#define BOOT_MAX_OVERRIDES 32
#define BOOT_MAX_ECAMS     8
#define BOOT_MAX_IOMMUS    16
#define BOOT_MAX_DMA_RSVD  32
#define BOOT_NAME_SIZE     48

/* ELF note that each program and the kernel carry: name "Bulkhead", type 1, a u32 BULKHEAD_ABI. */
#define BOOT_NOTE_NAME "Bulkhead"
#define BOOT_NOTE_TYPE 1

enum boot_range_type {
	BOOT_RANGE_FREE = 1, /* RAM that nobody uses after ExitBootServices */
	BOOT_RANGE_FILE = 2, /* RAM that holds a boot file; index says which */
	/* the kernel block, the AP trampoline page, and the registers of local APICs, I/O APICs,
	   IOMMUs and of PCI configuration */
	BOOT_RANGE_KERNEL = 3,
	/* RAM of the firmware, ACPI tables, run-time services, bad memory */
	BOOT_RANGE_RESERVED = 4,
	BOOT_RANGE_DEVICE = 5, /* memory-mapped I/O that the firmware reported */
};

/* Ranges are page-aligned, sorted by base, and do not overlap. Page 0 is never FREE. */
struct boot_range {
	u64 base; /* bytes, physical */
	u64 size; /* bytes */
	u32 type; /* enum boot_range_type */
	u32 index;
};
static_assert(sizeof(struct boot_range) == 24);

#define BOOT_CPU_BSP   BIT(0)
#define BOOT_CPU_WAITS BIT(1) /* it was started, and waits */

/*
 * The first is the processor that boots. Each other one waits in the loader's code until `entry`,
 * an address in the image, is not 0, and goes there in the state in which the first entered the
 * kernel, without a stack, RDI = argument.
 */
struct boot_cpu {
	u32 apic_id; /* local APIC or x2APIC ID */
	u32 flags;   /* BOOT_CPU_* */
	u64 entry, argument;
};

/* What the boot processor has, and with it all of them. */
struct boot_features {
	bool vmx, svm;
	bool amd; /* AMD-V is the extension to use */
	bool x2apic, tsc_deadline, tsc_invariant;
	bool pcid, fsgsbase, xsave;
	bool pages_1g, spec_ctrl;
	u32 paddr_bits;
	u64 cr4;        /* SMEP, SMAP, UMIP, FSGSBASE, OSXSAVE, PCIDE: those that can be set */
	u64 xcr0;       /* that guests may use */
	u64 xcr0_saved; /* that are switched: PKRU too, for a guest reaches it by CR4.PKE alone */
};

struct boot_ioapic {
	u64 address; /* physical */
	u32 gsi_base;
	u32 id;
};

#define BOOT_IRQ_ACTIVE_LOW BIT(0)
#define BOOT_IRQ_LEVEL      BIT(1)

struct boot_override {
	u32 isa_irq; /* 0-15 */
	u32 gsi;
	u32 flags; /* BOOT_IRQ_* */
	u32 reserved;
};

struct boot_ecam {
	u64 base; /* of bus 0 of the segment, whether or not bus 0 is in the range */
	u16 segment;
	u8 first_bus;
	u8 last_bus;
	u32 reserved;
};

enum boot_iommu_type {
	BOOT_IOMMU_VTD = 1,
	BOOT_IOMMU_AMDVI = 2,
};

#define BOOT_IOMMU_INTREMAP    BIT(0) /* DMAR flags: INTR_REMAP */
#define BOOT_IOMMU_INCLUDE_ALL BIT(1) /* DRHD flags: INCLUDE_PCI_ALL */
#define BOOT_IOMMU_MAX_SCOPES  64

/* What a scope is: as in DMAR (VT-d specification, 8.3.1), to which those of IVRS are translated.
 */
enum boot_scope_type {
	BOOT_SCOPE_ENDPOINT = 1,
	BOOT_SCOPE_BRIDGE = 2, /* a bridge, and as another scope all that is behind it */
	BOOT_SCOPE_IOAPIC = 3,
	BOOT_SCOPE_HPET = 4,
	BOOT_SCOPE_NAMESPACE = 5, /* a device of the ACPI name space */
	BOOT_SCOPE_ALIAS = 0x42,  /* AMD-Vi: requests of these carry the ID in type_id's low half */
};

struct boot_iommu_scope {
	u16 first_bdf, last_bdf; /* bus << 8 | device << 3 | function */
	u32 type_id;             /* scope type << 16 | enumeration ID */
};

/* One remapping unit: a DRHD of DMAR, or an IVHD of IVRS. */
struct boot_iommu {
	u64 base; /* registers, physical */
	u32 type; /* enum boot_iommu_type */
	u32 flags;
	u16 segment;
	u16 scopes;
	u32 bdf; /* AMD-Vi: the function that the unit itself is; VT-d: 0 */
	struct boot_iommu_scope scope[BOOT_IOMMU_MAX_SCOPES];
};

/* Memory that a device reaches for the firmware's sake: RMRR, or an IVMD unity map. */
struct boot_dma_reserved {
	u64 base, size;
	u16 segment, first_bdf, last_bdf, reserved;
};

/* Power and time blocks of the FADT and `_S5_`; ports are 0 where absent. */
struct boot_power {
	u16 pm1a_control, pm1b_control, pm_timer, smi_command; /* I/O ports */
	u16 sci_gsi;
	u8 pm_timer_32bit;
	u8 s5_valid, slp_typ_a, slp_typ_b; /* S5 was found, and its types */
	u8 reset_space; /* generic address space ID: 0 memory, 1 I/O, 0xff none */
	u8 reset_value;
	u64 reset_address;
};

/* Where the three colours of a pixel of 32 bits are: the lowest bit of each, and how many. */
#define BOOT_PIXEL_NONE               0u /* no framebuffer, or one too small for text */
#define BOOT_PIXEL_FIELD(low, bits)   ((u32)(low) | (u32)(bits) << 5)
#define BOOT_PIXEL(red, green, blue)  ((red) | (green) << 10 | (blue) << 20)
#define BOOT_PIXEL_OF(format, colour) ((format) >> 10 * (colour)&0x3ff) /* from red, 0, on */

struct boot_framebuffer {
	u64 base, size;
	u32 width, height; /* pixels */
	u32 pitch;         /* bytes from line to line */
	u32 format;        /* BOOT_PIXEL(...) */
};

/* Glyphs of printable ASCII, from the space on; a byte for each row, the leftmost pixel in the
 * highest bit. */
#define BOOT_FONT_GLYPHS 95
#define BOOT_FONT_ROWS   8

/* A loadable segment of root.elf; page-aligned, and all of it is in the file. */
#define BOOT_MAX_SEGMENTS  4
#define BOOT_SEGMENT_EXEC  BIT(0) /* PF_X */
#define BOOT_SEGMENT_WRITE BIT(1) /* PF_W */

struct boot_segment {
	u64 address; /* virtual, ABI_USER_MIN or above */
	u64 offset;  /* in the file, bytes */
	u64 size;    /* bytes, whole pages */
	u64 flags;   /* BOOT_SEGMENT_* */
};

struct boot_file {
	char name[BOOT_NAME_SIZE]; /* NUL-terminated, as in the description */
	u64 base;                  /* page-aligned; the rest of the last page is zero */
	u64 size;                  /* bytes of the file */
	u8 sha256[32];
};

/* bits of boot_info.flags */
#define BOOT_FLAG_ENTROPY    BIT(0) /* entropy[] is random */
#define BOOT_FLAG_ACPI       BIT(1) /* ACPI tables were found */
#define BOOT_FLAG_8259       BIT(2) /* the MADT says that dual 8259s are there */
#define BOOT_FLAG_X2APIC_REQ BIT(3) /* firmware left the APs' or this CPU's APIC in x2APIC mode */
#define BOOT_FLAG_DMA_OPT_IN BIT(4) /* DMAR: platform asks for DMA protection from the start */

struct boot_info {
	u64 magic; /* BOOT_MAGIC */
	u32 abi;   /* BULKHEAD_ABI */
	u32 size;  /* sizeof(struct boot_info) */
	u64 flags;

	/*
	 * The kernel block: physically contiguous, below 4 GiB, BOOT_BLOCK_ALIGN-aligned. It holds,
	 * from block_base: the image; from block_info: this structure, the symbols, the temporary
	 * tables; from block_pool to its end: free frames, the kernel's boot pool.
	 */
	u64 block_base, block_size;
	u64 block_info, block_pool; /* physical, page-aligned; the first ends the image */
	u64 symtab, symtab_size;    /* physical: Elf64_Sym[] of the image, 0 if stripped */
	u64 strtab, strtab_size;
	u64 ap_trampoline; /* physical, one page below 1 MiB */

	u64 tsc_hz;
	u64 lapic_hz;   /* LAPIC timer input, divide by 1 */
	u64 wall_clock; /* Unix time in nanoseconds ... */
	u64 wall_tsc;   /* ... when the TSC had this value */
	u64 hpet, rsdp; /* physical, or 0 */
	u64 lapic;      /* registers, physical */
	u8 entropy[64];

	struct boot_features features;
	struct boot_power power;
	struct boot_framebuffer framebuffer;
	u8 font[BOOT_FONT_GLYPHS][BOOT_FONT_ROWS];

	u32 cpus, ranges, files, ioapics, overrides, ecams, iommus, dma_reserved_count;
	struct boot_cpu cpu[BOOT_MAX_CPUS];
	struct boot_range range[BOOT_MAX_RANGES];
	struct boot_file file[BOOT_MAX_FILES]; /* 0 is root.elf, 1 is system.dtb */
	u64 root_entry;
	struct boot_segment root_segment[BOOT_MAX_SEGMENTS]; /* size 0: none */
	struct boot_ioapic ioapic[BOOT_MAX_IOAPICS];
	struct boot_override override[BOOT_MAX_OVERRIDES];
	struct boot_ecam ecam[BOOT_MAX_ECAMS];
	struct boot_iommu iommu[BOOT_MAX_IOMMUS];
	struct boot_dma_reserved dma_reserved[BOOT_MAX_DMA_RSVD];
};
