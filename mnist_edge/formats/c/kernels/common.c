#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline, unused))
#define ALIGNED __attribute__((aligned(64)))
#else
#define INLINE static
#define ALIGNED
#endif

/* Keep a vector in its register: GCC would rather load it again for each of its uses. And load
   inputs again where kernels overlap: kept for later, they would push the sums out of theirs. */
#if LANES > 1 && defined(__x86_64__)
#define KEEP(x) __asm__("" : "+v"(x))
#define AGAIN() __asm__ volatile("" : : : "memory")
#elif LANES > 1 && defined(__aarch64__)
#define KEEP(x) __asm__("" : "+w"(x))
#define AGAIN() (void)0
#else
#define KEEP(x) (void)(x)
#define AGAIN() (void)0
#endif

INLINE int fewer(int a, int b) { return a < b ? a : b; }

#define VECTORS(channels) (((channels) + LANES - 1) / LANES)
