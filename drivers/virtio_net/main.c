/* The driver of a virtio network card. */
#include "drivers/virtio_net/net.h"

int main(struct start_info *info);

int main(struct start_info *info)
{
	return card_run(info, &virtio_net_driver);
}
