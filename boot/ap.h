/* Offsets in struct boot_cpu that ap.S uses; processors.c checks them. */
#pragma once

#define CPU_FLAGS    4
#define CPU_ENTRY    8
#define CPU_ARGUMENT 16
#define FLAG_WAITS   2
