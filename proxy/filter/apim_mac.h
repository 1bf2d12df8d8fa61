/* apim_mac: finds whose subscription key a text is, without ever holding a key in clear. One per worker. */
#pragma once
#include "proxy/config/apim.h"

struct apim_mac;
struct apim_mac *apim_mac_create(void);
void apim_mac_destroy(struct apim_mac **m);
/* The subscription that has this key under any MAC key; NULL: nobody. */
const struct apim_subscription *apim_mac_find(struct apim_mac *m, const struct apim_set *set, struct slice key);
