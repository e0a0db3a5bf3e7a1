/* What only the firmware has: the framebuffer and random numbers. */
#include "machine.h"
#include "memory.h"
#include "pixel.h"
#include "print.h"
#include "uefi.h"
#include "x86.h"

#define SCREEN_LEAST 64 /* pixels each way: some lines of text */
#define RDRAND_TRIES 10 /* Intel SDM vol. 1, 7.3.17.1 */

static const EFI_GUID gop_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static const EFI_GUID rng_guid = EFI_RNG_PROTOCOL_GUID;

static u32 format_of(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode)
{
	const EFI_PIXEL_BITMASK *m = &mode->PixelInformation;

	switch (mode->PixelFormat) {
	case PixelBlueGreenRedReserved8BitPerColor:
		return pixel_format((u32[]){0xff0000, 0xff00, 0xff, 0xff000000});
	case PixelRedGreenBlueReserved8BitPerColor:
		return pixel_format((u32[]){0xff, 0xff00, 0xff0000, 0xff000000});
	case PixelBitMask:
		return pixel_format(
			(u32[]){m->RedMask, m->GreenMask, m->BlueMask, m->ReservedMask});
	default:
		return BOOT_PIXEL_NONE;
	}
}

void machine_screen(struct boot_framebuffer *screen)
{
	const EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = efi_protocol(&gop_guid);
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode =
		gop && gop->Mode ? gop->Mode->Info : NULL;
	u64 least;

	if (!mode || !gop->Mode->FrameBufferBase)
		return;
	least = (u64)mode->PixelsPerScanLine * mode->VerticalResolution * sizeof(u32);
	if (mode->PixelsPerScanLine < mode->HorizontalResolution ||
		mode->HorizontalResolution < SCREEN_LEAST ||
		mode->VerticalResolution < SCREEN_LEAST || least > gop->Mode->FrameBufferSize)
		return;
	screen->format = format_of(mode);
	if (screen->format == BOOT_PIXEL_NONE)
		return;
	screen->base = gop->Mode->FrameBufferBase;
	screen->size = gop->Mode->FrameBufferSize;
	screen->width = mode->HorizontalResolution;
	screen->height = mode->VerticalResolution;
	screen->pitch = mode->PixelsPerScanLine * (u32)sizeof(u32);
}

static bool rdrand64(u64 *value)
{
	for (u32 i = 0; i < RDRAND_TRIES; i++) {
		bool valid;

		asm volatile("rdrand %0" : "=r"(*value), "=@ccc"(valid));
		if (valid)
			return true;
	}
	return false;
}

/* Some processors return the same number, often all ones, for ever after a suspend: that is none.
 */
static bool entropy_from_cpu(u8 *to, u64 size)
{
	u64 last = ~0ull;

	if (!(cpuid(CPUID_FEATURES, 0).ecx & FEATURES_ECX_RDRAND))
		return false;
	for (u64 at = 0; at < size; at += sizeof(last)) {
		u64 value;

		if (!rdrand64(&value) || value == last)
			return false;
		memcpy(to + at, &value, sizeof(value));
		last = value;
	}
	return true;
}

void machine_entropy(struct boot_info *info)
{
	EFI_RNG_PROTOCOL *rng = efi_protocol(&rng_guid);

	if ((rng && !EFI_ERROR(rng->GetRNG(rng, NULL, sizeof(info->entropy), info->entropy))) ||
		entropy_from_cpu(info->entropy, sizeof(info->entropy))) {
		info->flags |= BOOT_FLAG_ENTROPY;
		return;
	}
	memset(info->entropy, 0, sizeof(info->entropy));
	print("loader: no source of random numbers: neither the firmware's nor RDRAND\n");
}
