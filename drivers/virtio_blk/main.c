/* The driver of a virtio disk. */
#include "drivers/virtio_blk/blk.h"

int main(struct start_info *info);

int main(struct start_info *info)
{
	return disk_run(info, &virtio_blk_driver);
}
