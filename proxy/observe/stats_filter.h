/* stats_filter's inside, for the files of this room that render. */
#pragma once
#include "proxy/observe/stats_render.h"

bool stats_filter_passes(const struct stats_filter *f, const struct stat_view *view);
