/* The driver of a SATA disk. */
#include "drivers/ahci/ahci.h"

int main(struct start_info *info);

int main(struct start_info *info)
{
	return disk_run(info, &ahci_driver);
}
