/* The driver of an NVMe disk. */
#include "drivers/nvme/nvme.h"

int main(struct start_info *info);

int main(struct start_info *info)
{
	return disk_run(info, &nvme_driver);
}
