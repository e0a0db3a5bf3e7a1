/* The driver of an ATA disk. */
#include "drivers/ata/ata.h"

int main(struct start_info *info);

int main(struct start_info *info)
{
	return disk_run(info, &ata_driver);
}
