/* What the kernels below work on: numbers, weights, offsets and sums are all float32. */
typedef float number, weighting, offset;
#define TOGETHER 1 /* numbers that one step takes in */

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

/* One step of a sum: an input times the weights of some channels. */
typedef float inputs;
typedef vec weights;
INLINE inputs take(const float *from) { return *from; }
INLINE weights weigh(const float *from) { return load(from); }
INLINE vec step(vec sum, inputs x, weights w) { return sum + x * w; }

/* The end of a sum: ReLU or not, for these channels and for those that are some `v` on. */
typedef int ending;
INLINE ending later(ending relu, int v) { return (void)v, relu; }

INLINE vec finish(vec x, int relu)
{
    const vec zero = {0};
    return relu ? larger(x, zero) : x;
}

INLINE void put(float *to, vec sum, ending relu) { store(to, finish(sum, relu)); }
