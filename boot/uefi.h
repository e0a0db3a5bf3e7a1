/* UEFI as gnu-efi declares it, with function pointers that are called directly. */
#pragma once

#define GNU_EFI_USE_MS_ABI
#include <efi.h>

#include "kernel/abi/types.h"

/* Where gnu-efi's start-up code enters, in the C calling convention. */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* Set once at the start of efi_main. */
extern EFI_HANDLE efi_image;
extern EFI_SYSTEM_TABLE *efi_table;
extern EFI_BOOT_SERVICES *efi;

/* Returns the only or first instance of a protocol, or NULL. */
void *efi_protocol(const EFI_GUID *guid);

/* Returns a short text for a status, for messages. */
const char *efi_text(EFI_STATUS status);

/* Allocates zeroed pages of EfiLoaderData for `size` bytes; NULL if there is no room. */
void *efi_pages(u64 size);
void efi_pages_free(void *pages, u64 size);
