/* Capability slots of the program's own. */
#include "drivers/lib/lib.h"

cap_t slot_new(void)
{
	static cap_t next = START_CAP_OWN;

	return next++;
}
