/* The driver of a USB host controller, with a disk, keyboards, or both. */
#include "drivers/lib/loop.h"
#include "drivers/xhci/xhci.h"

int main(struct start_info *info);

static bool has_session(const struct start_info *info, const char *protocol)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role == START_SERVER && strcmp(r->protocol, protocol) == 0)
			return true;
	}
	return false;
}

int main(struct start_info *info)
{
	static struct device device;

	if (!has_session(info, "serial"))
		return disk_run(info, &xhci_driver);
	loop_open(info, NULL); /* it may be long until there is a disk */
	if (has_session(info, "block"))
		return disk_run(info, &xhci_driver);
	if (!device_open(&device, info, 0))
		return 1;
	if (!xhci_keyboards_open(&device))
		device_fail(&device);
	while (xhci_keyboards_turn())
		;
	device_fail(&device);
}
