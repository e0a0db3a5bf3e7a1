/* Offsets that entry.S uses; vmx.h checks them against C. */
#pragma once

#define ENTRY_VCPU_RUN     0
#define ENTRY_VCPU_CR2     24
#define ENTRY_VCPU_REFUSED 32
#define ENTRY_RUN_GPR      120
