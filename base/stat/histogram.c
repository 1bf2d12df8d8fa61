#include "base/stat/stat.h"

enum { SUB_BITS = 3, SUB = 1 << SUB_BITS, TOP_BIT = 40 };

/* The three bits behind the highest one choose among the eight buckets of its power of two. */
unsigned stat_bucket_of(uint64_t value)
{
    if (value < SUB) {
        return (unsigned)value;
    }
    unsigned bit = 63 - (unsigned)__builtin_clzll(value);
    if (bit >= TOP_BIT) {
        return STAT_BUCKETS - 1;
    }
    unsigned sub = (unsigned)(value >> (bit - SUB_BITS)) & (SUB - 1);
    return SUB + (bit - SUB_BITS) * SUB + sub;
}

uint64_t stat_bucket_low(unsigned bucket)
{
    if (bucket < SUB) {
        return bucket;
    }
    if (bucket >= STAT_BUCKETS - 1) {
        return (uint64_t)1 << TOP_BIT;
    }
    unsigned shift = (bucket - SUB) / SUB;
    return (uint64_t)(SUB + (bucket - SUB) % SUB) << shift;
}

uint64_t stat_bucket_high(unsigned bucket)
{
    return bucket >= STAT_BUCKETS - 1 ? UINT64_MAX : stat_bucket_low(bucket + 1) - 1;
}

double stat_quantile(const struct stat_buckets *b, double q)
{
    if (b->count == 0) {
        return 0;
    }
    double wanted = q * (double)b->count, seen = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < STAT_BUCKETS; i++) {
        double n = (double)b->bucket[i];
        if (n > 0 && seen + n >= wanted) {
            double low = (double)stat_bucket_low(i);
            double width = i >= STAT_BUCKETS - 1 ? 0 : (double)(stat_bucket_high(i) - stat_bucket_low(i));
            return low + width * (wanted > seen ? (wanted - seen) / n : 0);
        }
        seen += n;
        last = n > 0 ? i : last;
    }
    return (double)stat_bucket_low(last);
}

uint64_t stat_count_below(const struct stat_buckets *b, uint64_t bound)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < STAT_BUCKETS && stat_bucket_low(i) <= bound; i++) {
        count += b->bucket[i];
    }
    return count;
}
