/* What the settings' own shape cannot say: fields that are needed, names that must exist, addresses and ports. */
#pragma once
#include "base/err.h"
#include "pb/egret/control/v1/config.pb-c.h"

bool settings_check(const Egret__Control__V1__Config *config, struct err *err); /* "gateways[0].port: reason" */
