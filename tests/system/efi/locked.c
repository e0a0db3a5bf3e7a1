/*
 * Firmware that forbids VT-x: locks IA32_FEATURE_CONTROL with VMX off (SDM vol. 3, 24.7), then
 * starts the program EFI\BOOT\LOADER.EFI of the volume it came from. On the boot processor only, so
 * the machine must have one.
 */
#define GNU_EFI_USE_MS_ABI
#include <efi.h>
#include <stddef.h>

#define MSR_FEATURE_CONTROL 0x3a
#define FEATURE_LOCKED      1
#define LOADER              u"\\EFI\\BOOT\\LOADER.EFI"
#define PATH_ROOM           512

struct loader_path {
	EFI_DEVICE_PATH node;
	CHAR16 name[sizeof(LOADER) / sizeof(CHAR16)];
	EFI_DEVICE_PATH end;
} __attribute__((packed));

static const struct loader_path loader = {
	.node = {4, 4, {offsetof(struct loader_path, end), 0}}, /* a file's path on the medium */
	.name = LOADER,
	.end = {0x7f, 0xff, {sizeof(EFI_DEVICE_PATH), 0}},
};

static UINT8 path[PATH_ROOM];

static void say(EFI_SYSTEM_TABLE *table, const CHAR16 *text)
{
	table->ConOut->OutputString(table->ConOut, (CHAR16 *)text);
}

static void append(UINTN at, const void *bytes, UINTN size)
{
	for (UINTN i = 0; i < size && at + i < PATH_ROOM; i++)
		path[at + i] = ((const UINT8 *)bytes)[i];
}

/* Puts the path of the loader together: that of the device, without its end, and the file's. */
static EFI_STATUS find_loader(EFI_BOOT_SERVICES *services, EFI_HANDLE image)
{
	EFI_GUID image_protocol = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_GUID path_protocol = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_LOADED_IMAGE *own;
	const EFI_DEVICE_PATH *device;
	UINTN size = 0;
	EFI_STATUS status = services->HandleProtocol(image, &image_protocol, (void **)&own);

	if (!EFI_ERROR(status))
		status = services->HandleProtocol(
			own->DeviceHandle, &path_protocol, (void **)&device);
	if (EFI_ERROR(status))
		return status;
	for (const EFI_DEVICE_PATH *p = device; p->Type != loader.end.Type;
		p = (const EFI_DEVICE_PATH *)((const UINT8 *)device + size))
		size += (UINTN)p->Length[0] | (UINTN)p->Length[1] << 8;
	if (size + sizeof(loader) > PATH_ROOM)
		return EFI_OUT_OF_RESOURCES;
	append(0, device, size);
	append(size, &loader, sizeof(loader));
	return EFI_SUCCESS;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	EFI_BOOT_SERVICES *services = table->BootServices;
	EFI_HANDLE next;
	EFI_STATUS status = find_loader(services, image);

	asm volatile("wrmsr" : : "c"(MSR_FEATURE_CONTROL), "a"(FEATURE_LOCKED), "d"(0));
	say(table, u"locked: VT-x is off now\r\n");
	if (!EFI_ERROR(status))
		status = services->LoadImage(FALSE, image, (EFI_DEVICE_PATH *)path, NULL, 0, &next);
	if (!EFI_ERROR(status))
		status = services->StartImage(next, NULL, NULL);
	say(table, u"locked: the loader could not be started, or came back\r\n");
	return status;
}
