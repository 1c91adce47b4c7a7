/* Words of the compiler and bit helpers that every floor uses.  No state, no locks. */
#ifndef GA_BASE_H
#define GA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GA_LIKELY(x) __builtin_expect(!!(x), 1)
#define GA_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define GA_INLINE static inline __attribute__((always_inline))
#define GA_NOINLINE __attribute__((noinline))
#define GA_COLD __attribute__((cold, noinline))
/* On a declaration: reached without the global offset table, which -fvisibility does not give
 * it. */
#define GA_HIDDEN __attribute__((visibility("hidden")))
#define GA_ALIGNED(n) __attribute__((aligned(n)))

/* Each compiler says in its own way that ThreadSanitizer watches. */
#if defined(__SANITIZE_THREAD__)
#define GA_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GA_THREAD_SANITIZER 1
#endif
#endif

/* n > 0 a power of two */
GA_INLINE uintptr_t ga_align_up(uintptr_t v, uintptr_t n) { return (v + n - 1) & ~(n - 1); }
GA_INLINE uintptr_t ga_align_down(uintptr_t v, uintptr_t n) { return v & ~(n - 1); }
GA_INLINE bool ga_is_pow2(uintptr_t v) { return v != 0 && (v & (v - 1)) == 0; }

/* index of the lowest set bit; 64 for 0 (as Go's Ctz64) */
GA_INLINE unsigned ga_ctz64(uint64_t v) { return v ? (unsigned)__builtin_ctzll(v) : 64; }
/* Without an instruction for it the compiler calls a function that looks into a table. */
GA_INLINE unsigned ga_popcount64(uint64_t v) {
#if defined(__POPCNT__) || defined(__aarch64__)
    return (unsigned)__builtin_popcountll(v);
#else
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (unsigned)(v * 0x0101010101010101 >> 56);
#endif
}
/* Clears bit i % 64 of *word, a local variable; returns whether it was set.  Compilers make three
 * steps and a mask of what x86 does in one. */
GA_INLINE bool ga_test_and_clear(uint64_t *word, uint64_t i) {
#if defined(__x86_64__)
    bool was;
    __asm__("btrq %2, %0" : "+r"(*word), "=@ccc"(was) : "r"(i));
    return was;
#else
    uint64_t old = *word;
    *word = old & ~((uint64_t)1 << (i & 63));
    return old >> (i & 63) & 1;
#endif
}
/* Sets it. */
GA_INLINE void ga_set_bit(uint64_t *word, uint64_t i) {
#if defined(__x86_64__)
    __asm__("btsq %1, %0" : "+r"(*word) : "r"(i) : "cc");
#else
    *word |= (uint64_t)1 << (i & 63);
#endif
}
/* From here on the compiler does not know what a local variable is worth, and so keeps nothing that
 * it has made of it. */
#define GA_FORGET(variable) __asm__("" : "+r"(variable))

/* floor(log2(v)), v > 0 */
GA_INLINE unsigned ga_log2(uint64_t v) { return 63u - (unsigned)__builtin_clzll(v); }

GA_INLINE size_t ga_min(size_t a, size_t b) { return a < b ? a : b; }
GA_INLINE size_t ga_max(size_t a, size_t b) { return a > b ? a : b; }

#endif
