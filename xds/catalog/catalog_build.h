/* catalog_build: makes a catalog from a folder's snapshot. Control server's main thread. */
#pragma once
#include "xds/catalog/catalog.h"
#include "xds/source/folder.h"

/*
 * Never fails: what cannot be served is closed and named among the problems. Objects of prev (NULL: none) whose inputs
 * did not change are shared. Nothing of the snapshot is kept.
 */
struct catalog *catalog_build(const struct catalog *prev, const struct folder_snapshot *snapshot);
