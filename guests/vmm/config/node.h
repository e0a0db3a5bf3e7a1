/* Reading nodes of the partition's device tree, and the devices of virtio.c and
 * pass.c. */
#pragma once

#include "guests/vmm/config/config.h"

/* Logs the node's path and what is wrong. */
void config_complain(const struct config *c, int node, const char *what);

/* A property that is one string; NULL if it is not there or is none. */
const char *config_text(const struct config *c, int node, const char *name);

/* Cell `index` of a property; false: it has no such cell. */
bool config_cell(const struct config *c, int node, const char *name, int index, u32 *value);

/*
 * The session of `protocol` with the node's `backend`, as client; NULL: there is none, or devices
 * before this one have them all. Nodes with the same backend get theirs in the tree's order.
 */
const struct start_resource *config_session(struct config *c, int node, const char *protocol);

/* The place of a PCI function, on bus 0; false, with a log line: it is none. */
bool config_devfn(const struct config *c, int node, u8 *devfn);

/* Logs that it could not be put there; false. */
bool config_place_taken(const struct config *c, int node);

/* Devices below `pci`; false: the node is wrong. */
bool config_net(struct config *c, struct machine *m, int node);
bool config_disk(struct config *c, struct machine *m, int node);
bool config_console(struct config *c, struct machine *m, int node);
bool config_entropy(struct config *c, struct machine *m, int node);
bool config_function(struct config *c, struct machine *m, int node);
