/* The body of the DSDT: what the guest's operating system learns of buses and legacy devices. */
#pragma once

#include "guests/vmm/boot/acpi_aml.h"
#include "guests/vmm/boot/acpi_tables.h"

/* Appends the definitions (ACPI specification 6.4, 5.2.11.1); the header is the caller's. */
void acpi_dsdt(struct aml *a, const struct acpi_config *config);
