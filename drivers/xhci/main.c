/* The driver of a USB disk. */
#include "drivers/xhci/xhci.h"

int main(struct start_info *info);

int main(struct start_info *info)
{
	return disk_run(info, &xhci_driver);
}
