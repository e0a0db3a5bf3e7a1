/* Files of the boot volume, through EFI_SIMPLE_FILE_SYSTEM_PROTOCOL (UEFI 2.10, 13.4 and 13.5). */
#include "files.h"
#include "memory.h"
#include "print.h"
#include "sha256.h"
#include "uefi.h"

#define CHUNK      0x100000ull  /* bytes that one call of the firmware reads */
#define DOTS_MAX   32           /* progress dots for the largest file */
#define DOTS_FROM  (2 * CHUNK)  /* smaller files come too fast for dots */
#define FILE_LIMIT (4ull << 30) /* no boot file needs more */
#define INFO_CHARS 256          /* room for the name in EFI_FILE_INFO */

static EFI_FILE_HANDLE folder;

static EFI_STATUS volume_open(EFI_FILE_HANDLE *root)
{
	EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_GUID volume_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_LOADED_IMAGE *image = NULL;
	EFI_FILE_IO_INTERFACE *volume = NULL;
	EFI_STATUS status = efi->HandleProtocol(efi_image, &image_guid, (void **)&image);

	if (EFI_ERROR(status))
		return status;
	status = efi->HandleProtocol(image->DeviceHandle, &volume_guid, (void **)&volume);
	if (EFI_ERROR(status))
		return status;
	return volume->OpenVolume(volume, root);
}

status_t files_open(void)
{
	CHAR16 name[] = u"\\bulkhead";
	EFI_FILE_HANDLE root = NULL;
	EFI_STATUS status = volume_open(&root);

	if (EFI_ERROR(status)) {
		print("loader: error: no file system on the device that this loader came from "
		      "(%s).\n"
		      "loader: Start it from the boot image, not over the network.\n",
			efi_text(status));
		return STATUS_NOT_FOUND;
	}
	status = root->Open(root, &folder, name, EFI_FILE_MODE_READ, 0);
	root->Close(root);
	if (EFI_ERROR(status)) {
		print("loader: error: no folder \\bulkhead on the boot volume (%s).\n"
		      "loader: Write the whole image made by tools/image to the medium.\n",
			efi_text(status));
		return STATUS_NOT_FOUND;
	}
	return STATUS_OK;
}

void files_close(void)
{
	if (folder)
		folder->Close(folder);
	folder = NULL;
}

static EFI_STATUS file_open(const char *name, EFI_FILE_HANDLE *file)
{
	CHAR16 wide[BOOT_NAME_SIZE] = {0};

	for (u32 i = 0; i < BOOT_NAME_SIZE - 1 && name[i]; i++)
		wide[i] = (u8)name[i];
	return folder->Open(folder, file, wide, EFI_FILE_MODE_READ, 0);
}

/* Returns the size of an open file; an error for a folder. */
static EFI_STATUS file_size(EFI_FILE_HANDLE file, u64 *size)
{
	EFI_GUID guid = EFI_FILE_INFO_ID;
	union {
		EFI_FILE_INFO info;
		u8 bytes[sizeof(EFI_FILE_INFO) + INFO_CHARS * sizeof(CHAR16)];
	} buffer;
	UINTN length = sizeof(buffer);
	EFI_STATUS status = file->GetInfo(file, &guid, &length, &buffer);

	if (EFI_ERROR(status))
		return status;
	*size = buffer.info.FileSize;
	return buffer.info.Attribute & EFI_FILE_DIRECTORY ? EFI_UNSUPPORTED : EFI_SUCCESS;
}

/* Reads the contents in chunks, with dots; short if the firmware gives less than it promised. */
static EFI_STATUS file_load(EFI_FILE_HANDLE file, u8 *to, u64 size, u8 *digest)
{
	u64 step = size / DOTS_MAX > CHUNK ? ALIGN_UP(size / DOTS_MAX, CHUNK) : CHUNK;
	struct sha256 hash;

	sha256_init(&hash);
	for (u64 done = 0; done < size;) {
		UINTN part = size - done < CHUNK ? size - done : CHUNK;
		EFI_STATUS status = file->Read(file, &part, to + done);

		if (EFI_ERROR(status))
			return status;
		if (part == 0 || part > size - done)
			return EFI_VOLUME_CORRUPTED;
		sha256_add(&hash, to + done, part);
		done += part;
		if (size >= DOTS_FROM && done % step == 0)
			print(".");
	}
	sha256_finish(&hash, digest);
	return EFI_SUCCESS;
}

static status_t open_file_read(EFI_FILE_HANDLE handle, struct boot_file *file)
{
	u64 size = 0;
	EFI_STATUS status = file_size(handle, &size);
	u8 *pages;

	if (EFI_ERROR(status) || size == 0 || size > FILE_LIMIT) {
		print("failed\nloader: error: %s is %s.\n"
		      "loader: Put the file that the system description names on the boot "
		      "volume.\n",
			file->name,
			EFI_ERROR(status) ? "no file"
			: size            ? "too large"
					  : "empty");
		return STATUS_DAMAGED;
	}
	print_size(size);
	print(" ");
	pages = efi_pages(size);
	if (!pages) {
		print("failed\nloader: error: not enough memory for %s.\n"
		      "loader: Take a smaller file or a machine with more memory.\n",
			file->name);
		return STATUS_NO_MEMORY;
	}
	status = file_load(handle, pages, size, file->sha256);
	if (EFI_ERROR(status)) {
		efi_pages_free(pages, size);
		print("failed\nloader: error: cannot read %s to its end (%s).\n"
		      "loader: Write the image to the medium again, or take another medium.\n",
			file->name, efi_text(status));
		return STATUS_DAMAGED;
	}
	file->base = (u64)pages;
	file->size = size;
	print("%sok\n", size >= DOTS_FROM ? " " : "");
	return STATUS_OK;
}

status_t files_read(struct boot_file *file)
{
	EFI_FILE_HANDLE handle = NULL;
	EFI_STATUS efi_status = file_open(file->name, &handle);
	status_t status;

	print("loader: reading %s ", file->name);
	if (EFI_ERROR(efi_status)) {
		print("failed\nloader: error: \\bulkhead\\%s cannot be opened (%s).\n"
		      "loader: Make the image anew with tools/image, so that it holds every "
		      "file.\n",
			file->name, efi_text(efi_status));
		return STATUS_NOT_FOUND;
	}
	status = open_file_read(handle, file);
	handle->Close(handle);
	return status;
}

void files_free(struct boot_file *file)
{
	if (file->base)
		efi_pages_free((void *)file->base, file->size);
	file->base = 0;
	file->size = 0;
}
