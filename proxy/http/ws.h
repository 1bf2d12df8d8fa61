/* ws: the key and its answer that HTTP/1 WebSocket upgrades carry and HTTP/2 ones do not (RFC 6455 4, RFC 8441 5). */
#pragma once
#include "base/slice.h"

enum { WS_KEY_LEN = 24, WS_ACCEPT_LEN = 28 };

void ws_key_random(char key[WS_KEY_LEN]);
void ws_accept(struct slice key, char accept[WS_ACCEPT_LEN]);
