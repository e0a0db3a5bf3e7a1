/* Intel's 82540EM and 82574L for drivers/netcard: one queue for each direction, one interrupt. */
#pragma once

#include "drivers/netcard/run.h"

extern const struct card_driver e1000_driver;
