/* Small helpers over the UEFI boot services. */
#include "memory.h"
#include "uefi.h"

EFI_HANDLE efi_image;
EFI_SYSTEM_TABLE *efi_table;
EFI_BOOT_SERVICES *efi;

void *efi_protocol(const EFI_GUID *guid)
{
	EFI_GUID wanted = *guid; /* gnu-efi declares it as one that the firmware may change */
	void *interface = NULL;

	return EFI_ERROR(efi->LocateProtocol(&wanted, NULL, &interface)) ? NULL : interface;
}

const char *efi_text(EFI_STATUS status)
{
	switch (status) {
	case EFI_NOT_FOUND:
		return "not found";
	case EFI_NO_MEDIA:
		return "no medium";
	case EFI_MEDIA_CHANGED:
		return "the medium was changed";
	case EFI_DEVICE_ERROR:
		return "the device reports an error";
	case EFI_VOLUME_CORRUPTED:
		return "the file system is damaged";
	case EFI_ACCESS_DENIED:
		return "access denied";
	case EFI_OUT_OF_RESOURCES:
		return "out of memory";
	case EFI_UNSUPPORTED:
		return "not supported";
	case EFI_INVALID_PARAMETER:
		return "invalid parameter";
	case EFI_TIMEOUT:
		return "timeout";
	default:
		return "firmware error";
	}
}

void *efi_pages(u64 size)
{
	u64 pages = ALIGN_UP(size, PAGE_SIZE) >> PAGE_SHIFT;
	EFI_PHYSICAL_ADDRESS base = 0;

	if (EFI_ERROR(efi->AllocatePages(AllocateAnyPages, EfiLoaderData, pages, &base)))
		return NULL;
	memset((void *)base, 0, pages << PAGE_SHIFT);
	return (void *)base;
}

void efi_pages_free(void *pages, u64 size)
{
	if (pages)
		efi->FreePages((u64)pages, ALIGN_UP(size, PAGE_SIZE) >> PAGE_SHIFT);
}
