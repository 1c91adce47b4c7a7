/* Size classes: request size -> class -> slot size, span size and the magic number that divides.
 *
 * The tables are generated (mksizeclass.py -> sizeclass_table.h), this header reads them.  Class 0
 * stands for large objects.  A span class is sizeclass << 1 | noscan.  No state, no locks. */
#ifndef GA_SIZECLASS_H
#define GA_SIZECLASS_H

#include "base.h"
#include "config.h"
#include "sizeclass_table.h"

/* From the table: GA_NUM_SIZE_CLASSES (67, class 0 included), and
 *   uint16_t class_to_size[67]          bytes per slot
 *   uint8_t  class_to_allocnpages[67]   pages per span
 *   uint32_t class_to_divmagic[67]      ceil(2^32 / size); n / size = n * magic >> 32 for n < span
 *   uint8_t  size_to_class8[129]        class of n <= 1024, index (n + 7) / 8
 *   uint8_t  size_to_class128[249]      class of 1024 < n <= 32768, index (n - 1024 + 127) / 128 */

typedef uint8_t spanclass_t;

#define GA_NUM_SPAN_CLASSES (2 * GA_NUM_SIZE_CLASSES)
#define GA_TINY_SPAN_CLASS ((spanclass_t)(2 << 1 | 1)) /* 16 bytes, noscan */

GA_INLINE spanclass_t make_spanclass(unsigned sizeclass, bool noscan) {
    return (spanclass_t)(sizeclass << 1 | noscan);
}
GA_INLINE unsigned spanclass_sizeclass(unsigned spc) { return spc >> 1; }
GA_INLINE bool spanclass_noscan(unsigned spc) { return spc & 1; }

/* Class of a request, 0 < n <= GA_MAX_SMALL_SIZE (0 counts as class 1). */
GA_INLINE unsigned size_to_class(size_t n) {
    if (GA_LIKELY(n <= 1024))
        return n == 0 ? 1 : size_to_class8[(n + 7) >> 3];
    return size_to_class128[(n - 1024 + 127) >> 7];
}

#endif
