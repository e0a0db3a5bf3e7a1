#include "kernel/font.h"
const u8 font[95][8] = {{0}};
