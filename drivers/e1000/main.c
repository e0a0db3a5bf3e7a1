/* The driver of Intel's gigabit Ethernet cards. */
#include "drivers/e1000/e1000.h"

int main(struct start_info *info);

int main(struct start_info *info)
{
	return card_run(info, &e1000_driver);
}
