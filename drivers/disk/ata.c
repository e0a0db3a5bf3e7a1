/* What ATA disks say of themselves: see ata.h. Words are those of ACS-3, 7.12.7. */
#include "drivers/disk/ata.h"
#include "drivers/protocols/block.h"

#define SERIAL         10u
#define CAPABILITIES   49u
#define CAP_DMA        BIT(8)
#define CAP_LBA        BIT(9)
#define SECTORS_28     60u /* two words */
#define QUEUE_DEPTH    75u
#define DEPTH_LAST     31u
#define SATA           76u
#define SATA_NCQ       BIT(8)
#define SET_82         82u
#define SET_CACHE      BIT(5)
#define SET_83         83u
#define SET_LARGE      BIT(10)
#define SET_FLUSH      BIT(12)
#define SET_84         84u
#define SET_FUA        BIT(6)
#define SECTORS_48     100u /* four words */
#define SECTOR_SIZE    106u
#define LARGE_LOGICAL  BIT(12)
#define LARGE_PHYSICAL BIT(13)
#define LOG2_PHYSICAL  0xfu
#define LOG2_MOST      7u
#define LOGICAL_WORDS  117u /* two words: 16-bit words of a sector */
#define DATASET        169u
#define DATASET_TRIM   BIT(0)
#define BLOCK_MOST     4096u

/* Bits 15:14 of some words say that the rest is valid. */
#define SIGNATURE      0x4000u
#define SIGNATURE_BITS 0xc000u

static u64 number(const u16 *words, u32 count)
{
	u64 value = 0;

	for (u32 i = count; i > 0; i--)
		value = value << 16 | words[i - 1];
	return value;
}

static u16 valid(u16 word)
{
	return (word & SIGNATURE_BITS) == SIGNATURE ? word : 0;
}

const char *ata_identify(const u16 words[ATA_ID_WORDS], struct ata_identity *out)
{
	u16 sets = valid(words[SET_83]);
	u16 size = valid(words[SECTOR_SIZE]);
	u16 sata = words[SATA] == 0xffff ? 0 : words[SATA];
	u64 block = size & LARGE_LOGICAL ? 2 * number(words + LOGICAL_WORDS, 2) : BLOCK_SECTOR;
	u32 shift = size & LARGE_PHYSICAL ? size & LOG2_PHYSICAL : 0;

	if (~words[CAPABILITIES] & (CAP_DMA | CAP_LBA))
		return "it has not both DMA and LBA";
	if (block < BLOCK_SECTOR || block > BLOCK_MOST || block & (block - 1))
		return "sectors of such a size are not supported";
	*out = (struct ata_identity){
		.block_size = (u32)block,
		.physical_size = (u32)block << (shift < LOG2_MOST ? shift : LOG2_MOST),
		.large = sets & SET_LARGE,
		.flush = words[SET_82] & SET_CACHE || sets & SET_FLUSH,
		.fua = valid(words[SET_84]) & SET_FUA,
		.trim = words[DATASET] & DATASET_TRIM,
		.depth = sata & SATA_NCQ ? (words[QUEUE_DEPTH] & DEPTH_LAST) + 1 : 0,
	};
	__builtin_memcpy(out->serial, words + SERIAL, sizeof(out->serial));
	out->sectors = number(words + (out->large ? SECTORS_48 : SECTORS_28), out->large ? 4 : 2);
	if (out->sectors == 0 || out->sectors > (out->large ? BIT(48) : BIT(28)))
		return "it has no number of sectors that can be";
	return NULL;
}
