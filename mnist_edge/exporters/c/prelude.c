#include <stdint.h>
#include <string.h>

/* ---- Vectors ------------------------------------------------------------------------------
   As wide as the target's registers; the compiler says which it has. Wider ones would be kept in
   memory, and be ten times slower. Without vectors, or with MNIST_EDGE_SCALAR, one number. */

#if defined(MNIST_EDGE_SCALAR) || !defined(__GNUC__)
#define LANES 1
#define REGISTERS 16
#elif defined(__AVX512F__)
#define LANES 16
#define REGISTERS 32
#elif defined(__AVX__)
#define LANES 8
#define REGISTERS 16
#elif defined(__aarch64__)
#define LANES 4
#define REGISTERS 32
#elif defined(__SSE__) || defined(__ARM_NEON) || defined(__wasm_simd128__)
#define LANES 4
#define REGISTERS 16
#else
#define LANES 1
#define REGISTERS 16
#endif

#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline, unused))
#define ALIGNED __attribute__((aligned(64)))
#else
#define INLINE static
#define ALIGNED
#endif

#if LANES > 1
typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
INLINE vec load(const float *from) { return *(const loose *)from; }
INLINE void store(float *to, vec x) { *(loose *)to = x; }
#else
typedef float vec;
INLINE vec load(const float *from) { return *from; }
INLINE void store(float *to, vec x) { *to = x; }
#endif

/* The larger of two, number by number: what vector types lack. */
#if LANES == 16
#include <immintrin.h>
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
#elif LANES == 8
#include <immintrin.h>
INLINE vec larger(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
#elif LANES == 4 && defined(__SSE__)
#include <xmmintrin.h>
INLINE vec larger(vec a, vec b) { return (vec)_mm_max_ps((__m128)a, (__m128)b); }
#elif LANES == 4 && defined(__ARM_NEON)
#include <arm_neon.h>
INLINE vec larger(vec a, vec b) { return (vec)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
#elif LANES == 4
#include <wasm_simd128.h>
INLINE vec larger(vec a, vec b) { return (vec)wasm_f32x4_pmax((v128_t)a, (v128_t)b); }
#else
INLINE vec larger(vec a, vec b) { return a > b ? a : b; }
#endif

/* Keep a vector in its register: GCC would rather load it again for each of its uses. */
#if LANES > 1 && defined(__x86_64__)
#define KEEP(x) __asm__("" : "+v"(x))
#elif LANES > 1 && defined(__aarch64__)
#define KEEP(x) __asm__("" : "+w"(x))
#else
#define KEEP(x) (void)(x)
#endif

INLINE vec finish(vec x, int relu)
{
    const vec zero = {0};
    return relu ? larger(x, zero) : x;
}

INLINE int fewer(int a, int b) { return a < b ? a : b; }

#define VECTORS(channels) (((channels) + LANES - 1) / LANES)
